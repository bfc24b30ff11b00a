//! What an attacker would try, and what must never get out.

mod authorization;
mod canaries;
pub(crate) mod process;
mod rotation;
mod sealed;
mod search;
mod ssrf;
