//! The data say where they come from, and are what the script wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_file_of_models_names_its_source() {
    let packages = json(&data().join("provenance.json"))["packages"].clone();
    let mut files = 0;
    for file in fs::read_dir(data().join("models")).unwrap() {
        let path = file.unwrap().path();
        let shown = path.display();
        let source = &json(&path)["source"];
        let on_record = &packages[source["package"].as_str().unwrap()];
        for key in ["version", "licence", "date"] {
            assert!(source[key].is_string(), "{shown} does not say its {key}");
            assert_eq!(source[key], on_record[key], "{shown} and the record differ in the {key}");
        }
        files += 1;
    }
    assert!(files > 20, "only {files} files");
    for package in packages.as_object().unwrap().keys() {
        let licence = data().join(format!("licences/{package}.txt"));
        assert!(fs::read_to_string(licence).unwrap().contains("Copyright"), "{package}");
    }
}

#[test]
fn what_is_committed_is_what_the_script_wrote() {
    let script = data().join("../../../scripts/update_catalog.py");
    match Command::new("python3").arg(script).arg("--check").output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(missing) => println!("skipped: python3 cannot be run: {missing}"),
    }
}

#[test]
fn the_data_stay_lean() {
    let files = fs::read_dir(data().join("models")).unwrap();
    let total: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(total < 400_000, "{total} bytes of models");
}
