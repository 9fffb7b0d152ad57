//! The real binary, in throw-away homes on loopback.

#[cfg(test)]
mod backups;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod files;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod real;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod serving;
