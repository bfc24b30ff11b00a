//! Pure rules: no I/O, no serde, no SQL.

pub mod error;
