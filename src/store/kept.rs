//! Statements that are prepared once for each connection, and whose text is written once.
//!
//! Diesel prepares each `UPDATE` and each upsert anew, because which columns they set may differ from call
//! to call. Ours set the same columns each time, or have a few forms. And it writes the text of each statement
//! at each call, also when all it needs is which of those that are prepared it is.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::AsyncConnectionCore;
use diesel_async::methods::{ExecuteDsl, LoadQuery};
use diesel_async::return_futures::{GetResult, LoadFuture};

/// diesel-async's methods of this name, for statements whose text is [`Written`] once. It has their name so
/// that Diesel's own, which its prelude brings along, is not in the way.
pub(super) trait RunQueryDsl<C: AsyncConnectionCore>: Sized {
    fn execute<'conn, 'query>(self, conn: &'conn mut C) -> C::ExecuteFuture<'conn, 'query>
    where
        Written<Self>: ExecuteDsl<C> + 'query,
    {
        ExecuteDsl::execute(Written(self), conn)
    }

    fn load<'query, 'conn, U>(
        self,
        conn: &'conn mut C,
    ) -> LoadFuture<'conn, 'query, Written<Self::Query>, C, U>
    where
        U: Send,
        Self: AsQuery,
        Written<Self::Query>: LoadQuery<'query, C, U> + 'query,
    {
        diesel_async::RunQueryDsl::load(Written(self.as_query()), conn)
    }

    fn get_result<'query, 'conn, U>(
        self,
        conn: &'conn mut C,
    ) -> GetResult<'conn, 'query, Written<Self::Query>, C, U>
    where
        U: Send + 'conn,
        Self: AsQuery,
        Written<Self::Query>: LoadQuery<'query, C, U> + 'query,
    {
        diesel_async::RunQueryDsl::get_result(Written(self.as_query()), conn)
    }

    fn first<'query, 'conn, U>(
        self,
        conn: &'conn mut C,
    ) -> GetResult<'conn, 'query, Written<<Self::Output as AsQuery>::Query>, C, U>
    where
        U: Send + 'conn,
        Self: LimitDsl,
        Self::Output: AsQuery,
        Written<<Self::Output as AsQuery>::Query>: LoadQuery<'query, C, U> + 'query,
    {
        self.limit(1).get_result(conn)
    }
}

impl<Q, C: AsyncConnectionCore> RunQueryDsl<C> for Q {}

/// A whole statement. If Diesel tells statements like it apart by their type alone, the text is written the
/// first time and copied from then on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<Q>(Q);

/// The type of a statement, and its engine's.
type Key = (TypeId, TypeId);

/// The texts that were written.
static TEXTS: LazyLock<RwLock<HashMap<Key, &'static str>>> = LazyLock::new(RwLock::default);

fn text_of(key: Key) -> Option<&'static str> {
    let texts = TEXTS.read().unwrap_or_else(PoisonError::into_inner);
    texts.get(&key).copied()
}

/// As many as there are statements in the program, for as long as it runs.
fn remember(key: Key, text: String) -> &'static str {
    let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
    texts.entry(key).or_insert_with(|| text.leak())
}

impl<Q, DB> QueryFragment<DB> for Written<Q>
where
    DB: Backend + 'static,
    DB::QueryBuilder: Default,
    Q: QueryFragment<DB> + QueryId,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn to_sql(&self, out: &mut DB::QueryBuilder, backend: &DB) -> QueryResult<()> {
        // What decides is what decides whether Diesel takes a prepared statement by its type.
        let id = match Q::query_id() {
            Some(id) if self.0.is_safe_to_cache_prepared(backend)? => id,
            _ => return self.0.to_sql(out, backend),
        };
        let key = (id, TypeId::of::<DB>());
        let write = || {
            let mut builder = DB::QueryBuilder::default();
            self.0.to_sql(&mut builder, backend)?;
            Ok(builder.finish())
        };
        let text = if let Some(text) = text_of(key) {
            debug_assert_eq!(QueryResult::Ok(text.to_owned()), write());
            text
        } else {
            remember(key, write()?)
        };
        out.push_sql(text);
        Ok(())
    }

    fn is_safe_to_cache_prepared(&self, backend: &DB) -> QueryResult<bool> {
        self.0.is_safe_to_cache_prepared(backend)
    }
}

impl<Q: QueryId> QueryId for Written<Q> {
    type QueryId = Q::QueryId;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<Q: Query> Query for Written<Q> {
    type SqlType = Q::SqlType;
}

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
