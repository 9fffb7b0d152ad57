//! Compiles the schema, without needing `protoc`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=bitrouter");
    let files =
        protox::compile(["bitrouter/v1/discovery.proto", "bitrouter/v1/ledger.proto"], ["."])?;
    tonic_prost_build::configure().bytes(".bitrouter.v1").compile_fds(files)?;
    Ok(())
}
