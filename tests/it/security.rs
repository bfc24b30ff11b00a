//! What an attacker would try, and what must never get out.

mod authorization;
mod rotation;
mod sealed;
