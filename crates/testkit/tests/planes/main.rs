//! Both planes together: what one does to the other, and what a broken link, a lost answer or a
//! restart may not do.

mod books;
mod keys;
mod link;
mod restarts;
mod traffic;
