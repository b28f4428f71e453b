//! Tests of the journal, in memory and in a folder.

mod support;

mod commit;
mod committed;
mod crash;
mod damage;
mod fuzz;
mod life;
mod rewrite;
mod segments;
