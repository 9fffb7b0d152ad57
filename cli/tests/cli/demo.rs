//! The demo shows what it promises and leaves nothing behind.

use crate::harness::Home;

#[test]
fn the_demo_shows_a_transcript_and_leaves_nothing_behind() {
    let (home, scratch) = (Home::new(), tempfile::tempdir().unwrap());
    let output = home.command(&["demo"]).env("TMPDIR", scratch.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for promised in
        ["A request", "A failover", "A streamed answer", "A refused key", "usage", "why"]
    {
        assert!(said.contains(promised), "{promised} is missing in {said}");
    }
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!home.path().exists(), "the caller's home is not touched");
}

#[test]
fn the_demo_gives_programs_its_scenes() {
    let demo = Home::new().json(&["demo"]);
    let statuses: Vec<_> =
        demo["scenes"].as_array().unwrap().iter().map(|scene| scene["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(200), Some(401)]);
}
