//! Statements that are prepared once for each connection.
//!
//! Diesel prepares each `UPDATE` and each upsert anew, because which columns they set may differ from call
//! to call. Ours set the same columns each time, or have a few forms.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement whose text is one of a few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<Q>(Q);

/// For statements whose text does not depend on how many rows or values they are about. Each text is kept
/// as long as its connection lives, by the text and the types of what is bound.
pub(super) trait Keep: Sized {
    /// The same, prepared once.
    fn kept(self) -> Kept<Self> {
        Kept(self)
    }
}

impl<Q> Keep for Q {}

impl<Q, DB> QueryFragment<DB> for Kept<Q>
where
    DB: Backend,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Kept<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, C> diesel::RunQueryDsl<C> for Kept<Q> {}

/// One column of many rows, for a statement that takes whole columns: its text does not depend on how many
/// rows there are, as that of `VALUES` would.
pub(super) fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A condition with its word in the statement's text, for a column that partial indexes are made by. With the
/// word bound, PostgreSQL would find them only by planning anew each time, and SQLite, which plans once here
/// (`.cargo/config.toml`), never.
macro_rules! condition {
    ($(#[$meta:meta])* $name:ident, $text:literal) => {
        $(#[$meta])*
        #[derive(
            Clone,
            Copy,
            Debug,
            diesel::query_builder::QueryId,
            diesel::expression::ValidGrouping,
        )]
        pub(super) struct $name;

        impl diesel::expression::Expression for $name {
            type SqlType = diesel::sql_types::Bool;
        }

        impl<QS> diesel::expression::AppearsOnTable<QS> for $name {}

        impl<DB: diesel::backend::Backend> diesel::query_builder::QueryFragment<DB> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, DB>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($text);
                Ok(())
            }
        }
    };
}
pub(super) use condition;
