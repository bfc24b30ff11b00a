//! Access: who may call, until when, and how it is told.

mod answers;
mod kept;
mod tokens;
mod world;
