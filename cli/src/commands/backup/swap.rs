//! Files and directories that take the place of others, all of them or none.
//!
//! New ones are made beside what they replace. What was in place keeps its name with an ending that is
//! the same for all of them and was free for all of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::failure::{Doing as _, Failure};

/// The ending of what is made.
const MADE: &str = ".restoring";

/// What is to be replaced.
#[derive(Debug, Default)]
pub(super) struct Swap {
    pieces: Vec<Piece>,
}

/// One file or directory.
#[derive(Debug)]
struct Piece {
    path: PathBuf,
    /// Endings of files that belong to it and go where it goes.
    companions: &'static [&'static str],
}

impl Swap {
    /// Where to make what will take a place. Nothing is there, whatever an earlier restore has left.
    pub(super) fn make_way(
        &mut self,
        path: &Path,
        companions: &'static [&'static str],
    ) -> Result<PathBuf, Failure> {
        let piece = Piece { path: path.to_owned(), companions };
        piece.clean()?;
        self.pieces.push(piece);
        Ok(with_ending(path, MADE))
    }

    /// Moves everything into its place, or leaves everything where it is.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        let aside = self.free_ending();
        let mut moved = Vec::new();
        let done = self.pieces.iter().try_for_each(|piece| piece.put_in_place(&aside, &mut moved));
        let Err(failure) = done else { return Ok(()) };
        for (from, to) in moved.iter().rev() {
            rename(to, from)?;
        }
        Err(failure.hint("all files are where they were before"))
    }

    /// Removes what was made and is not in place.
    pub(super) fn clean(&self) -> Result<(), Failure> {
        self.pieces.iter().try_for_each(Piece::clean)
    }

    fn free_ending(&self) -> String {
        let mut ending = ".before".to_owned();
        let mut number = 0_u32;
        while self.pieces.iter().any(|piece| piece.is_taken(&ending)) {
            number += 1;
            ending = format!(".before-{number}");
        }
        ending
    }
}

impl Piece {
    /// Its own files' endings.
    fn endings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once("").chain(self.companions.iter().copied())
    }

    fn is_taken(&self, aside: &str) -> bool {
        let aside = with_ending(&self.path, aside);
        self.endings().any(|ending| fs::symlink_metadata(with_ending(&aside, ending)).is_ok())
    }

    fn put_in_place(
        &self,
        aside: &str,
        moved: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<(), Failure> {
        let (made, aside) = (with_ending(&self.path, MADE), with_ending(&self.path, aside));
        for (from, to) in [(&self.path, &aside), (&made, &self.path)] {
            for ending in self.endings() {
                let (from, to) = (with_ending(from, ending), with_ending(to, ending));
                if fs::symlink_metadata(&from).is_ok() {
                    rename(&from, &to)?;
                    moved.push((from, to));
                }
            }
        }
        Ok(())
    }

    fn clean(&self) -> Result<(), Failure> {
        let made = with_ending(&self.path, MADE);
        for path in self.endings().map(|ending| with_ending(&made, ending)) {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).doing(format_args!("remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::rename(from, to).doing(format_args!("move {} to {}", from.display(), to.display()))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_belongs_together_keeps_the_same_number() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["db", "db-wal", "conf", "conf.before"] {
            fs::write(at(name), name).unwrap();
        }
        let mut swap = Swap::default();
        for (name, companions) in [("db", &["-wal", "-shm"] as &[_]), ("conf", &[])] {
            fs::write(swap.make_way(&at(name), companions).unwrap(), "new").unwrap();
        }
        swap.commit().unwrap();
        swap.clean().unwrap();
        let expected =
            ["conf", "conf.before", "conf.before-1", "db", "db.before-1", "db.before-1-wal"];
        assert_eq!(names(dir.path()), expected);
        assert_eq!(fs::read_to_string(at("db")).unwrap(), "new");
        assert_eq!(fs::read_to_string(at("db.before-1-wal")).unwrap(), "db-wal");
    }

    #[test]
    fn a_move_that_fails_takes_the_others_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("one"), "old").unwrap();
        fs::write(at("two"), "old").unwrap();
        let mut swap = Swap::default();
        for name in ["one", "two"] {
            fs::write(swap.make_way(&at(name), &[]).unwrap(), "new").unwrap();
        }
        // Its name has no room for another ending.
        let long = Piece { path: at(&"t".repeat(250)), companions: &[] };
        fs::write(&long.path, "old").unwrap();
        swap.pieces.push(long);
        let before = names(dir.path());
        swap.commit().unwrap_err();
        assert_eq!(names(dir.path()), before);
        assert_eq!(fs::read_to_string(at("one")).unwrap(), "old");
    }
}
