//! What an attacker would try, and what must never get out.

mod authorization;
mod canaries;
mod rotation;
mod sealed;
pub(crate) mod search;
mod ssrf;
