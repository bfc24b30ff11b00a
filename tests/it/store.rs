//! The two databases: the same schema, the same words for what goes wrong.

use std::collections::BTreeMap;

use diesel::sql_types::Text;
use portal_billing::clock::{Clock, Timestamp};
use portal_billing::domain::audit::{Actor, Draft, verify_chain};
use portal_billing::domain::error::{Code, Error};
use portal_billing::domain::portal::Portal;
use portal_billing::domain::slug::Slug;
use portal_billing::domain::stripe_key::Mode;
use portal_billing::domain::text::Metadata;
use portal_billing::ids::Ids;
use portal_billing::store::audit::{self, Stamp};
use portal_billing::store::migrate::{self, Direction};
use portal_billing::store::stripe_objects::{self, StripeObject};
use portal_billing::store::{Conn, Store, StoreError, Unique, portals};

use crate::support::database::{Database, FreshDatabase, on_both_databases};

on_both_databases!(
    migrations_go_up_down_and_up,
    a_newer_schema_is_refused,
    a_unique_violation_has_its_name,
    a_failed_unit_of_work_leaves_nothing,
    a_dropped_unit_of_work_leaves_nothing,
    what_is_refused_when_nobody_waits_undoes_the_unit_of_work,
    of_two_things_side_by_side_the_second_sees_the_first,
    of_two_things_side_by_side_the_cause_is_told,
    writers_that_read_first_do_not_lose_updates,
    the_audit_chain_holds_under_concurrency,
);

fn portal(name: &str) -> Portal {
    Portal {
        id: Slug::parse(name).unwrap(),
        title: name.to_owned(),
        metadata: Metadata::new(),
        version: 1,
        created_at: Timestamp::from_seconds(1),
        updated_at: Timestamp::from_seconds(1),
    }
}

async fn migrated(engine: Database) -> (FreshDatabase, Store) {
    let database = FreshDatabase::new(engine).await;
    migrate::run(&database.settings(), Direction::Up)
        .await
        .unwrap();
    let store = Store::new(database.settings()).unwrap();
    (database, store)
}

async fn migrations_go_up_down_and_up(engine: Database) {
    let database = FreshDatabase::empty(engine).await;
    let settings = database.settings();
    let up = migrate::run(&settings, Direction::Up).await.unwrap();
    assert!(!up.applied.is_empty());
    assert_eq!(up.pending, 0);
    let columns = columns(&database).await;
    for _ in &up.applied {
        migrate::run(&settings, Direction::DownOne).await.unwrap();
    }
    let down = migrate::run(&settings, Direction::Look).await.unwrap();
    assert_eq!(down.pending, up.applied.len());
    assert!(
        self::columns(&database).await.is_empty(),
        "down leaves nothing of ours"
    );
    assert_eq!(migrate::run(&settings, Direction::Up).await.unwrap(), up);
    assert_eq!(self::columns(&database).await, columns);
    assert!(
        migrate::run(&settings, Direction::Up)
            .await
            .unwrap()
            .applied
            .is_empty()
    );
}

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

/// `table.column` → type and nullability, in one vocabulary.
async fn columns(database: &FreshDatabase) -> BTreeMap<String, String> {
    const LITE: &str = "SELECT m.name AS table_name, p.name AS name, \
        p.type || CASE WHEN p.\"notnull\" = 1 THEN '' ELSE ' null' END AS kind \
        FROM sqlite_schema m, pragma_table_info(m.name) p \
        WHERE m.type = 'table' AND m.name NOT LIKE '%diesel%' AND m.name NOT LIKE 'sqlite%'";
    const PG: &str = "SELECT table_name::text, column_name::text AS name, \
        data_type || CASE WHEN is_nullable = 'NO' THEN '' ELSE ' null' END AS kind \
        FROM information_schema.columns \
        WHERE table_schema = 'public' AND table_name NOT LIKE '%diesel%'";
    let query = if database.file().is_some() { LITE } else { PG };
    let rows: Vec<Column> = database.rows(query).await;
    rows.into_iter()
        .map(|row| {
            let kind = row.kind.to_lowercase().replace("bytea", "blob");
            (format!("{}.{}", row.table_name, row.name), kind)
        })
        .collect()
}

#[tokio::test]
async fn both_engines_have_the_same_columns() {
    let (lite, _) = migrated(Database::Lite).await;
    let (pg, _) = migrated(Database::Pg).await;
    let (lite, pg) = (columns(&lite).await, columns(&pg).await);
    assert!(lite.len() > 50, "{}", lite.len());
    assert_eq!(lite, pg);
    let kinds = ["text", "bigint", "integer", "boolean", "blob"];
    for (name, kind) in &lite {
        assert!(
            kinds.contains(&kind.trim_end_matches(" null")),
            "{name} is {kind}"
        );
    }
}

async fn a_newer_schema_is_refused(engine: Database) {
    let (database, _) = migrated(engine).await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')";
    database.execute(newer).await;
    for direction in [Direction::Up, Direction::Look, Direction::DownOne] {
        let refused = migrate::run(&database.settings(), direction)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("newer") && refused.contains("99991231000000"),
            "{refused}"
        );
    }
}

async fn a_unique_violation_has_its_name(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let insert = async || {
        let portal = portal("twice");
        store
            .write(async |conn| portals::insert(conn, &portal).await)
            .await
    };
    insert().await.unwrap();
    assert!(matches!(
        insert().await,
        Err(StoreError::Unique(Unique::Portal))
    ));
}

async fn a_failed_unit_of_work_leaves_nothing(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let portal = portal("gone");
    let result: Result<(), _> = store
        .write(async |conn| {
            portals::insert(conn, &portal).await?;
            Err(Error::new(Code::PortalInUse, "second thoughts").into())
        })
        .await;
    assert!(matches!(result, Err(StoreError::Rule(_))));
    let found = store
        .read(async |conn| portals::find(conn, &portal.id).await)
        .await
        .unwrap();
    assert_eq!(found, None);
    store
        .write(async |conn| portals::insert(conn, &portal).await)
        .await
        .unwrap();
}

async fn a_dropped_unit_of_work_leaves_nothing(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let portal = portal("dropped");
    {
        let half = store.write(async |conn| {
            portals::insert(conn, &portal).await?;
            std::future::pending::<Result<(), StoreError>>().await
        });
        // Its caller is gone in the middle: the transaction is open and its future is dropped.
        let gone = tokio::time::timeout(std::time::Duration::from_millis(300), half).await;
        assert!(gone.is_err());
    }
    store
        .write(async |conn| portals::insert(conn, &portal).await)
        .await
        .unwrap();
    let found = store
        .read(async |conn| portals::find(conn, &portal.id).await)
        .await
        .unwrap();
    assert_eq!(found, Some(portal));
}

/// An object at Stripe of this portal, under this id; the thing of ours is the same each time.
async fn note(conn: &mut Conn, portal: &Portal, stripe_id: &str) -> Result<(), StoreError> {
    let object = StripeObject {
        account_id: "acct_1".to_owned(),
        mode: Mode::Test,
        stripe_id: stripe_id.to_owned(),
        kind: "customer".to_owned(),
        local_id: "org_1".to_owned(),
    };
    stripe_objects::note(conn, &portal.id, object, portal.created_at).await
}

async fn is_there(store: &Store, portal: &Portal) -> bool {
    let found = store
        .read(async |conn| portals::find(conn, &portal.id).await)
        .await;
    found.unwrap().is_some()
}

async fn what_is_refused_when_nobody_waits_undoes_the_unit_of_work(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let (kept, gone) = (portal("kept"), portal("gone"));
    let noted = async |portal: &Portal, [first, second]: [&str; 2]| {
        store
            .write(async |conn| {
                portals::insert(conn, portal).await?;
                note(conn, portal, first).await?;
                note(conn, portal, second).await
            })
            .await
    };
    noted(&kept, ["cus_1", "cus_1"]).await.unwrap();
    assert!(is_there(&store, &kept).await);
    let refused = noted(&gone, ["cus_2", "cus_3"]).await;
    assert!(matches!(
        refused,
        Err(StoreError::Unique(Unique::StripeObject))
    ));
    assert!(!is_there(&store, &gone).await);
    noted(&gone, ["cus_2", "cus_2"]).await.unwrap();
}

async fn of_two_things_side_by_side_the_second_sees_the_first(engine: Database) {
    let (_database, store) = migrated(engine).await;
    // The first time, each statement is prepared; then both are.
    for name in ["first", "second"] {
        let portal = portal(name);
        let ((), found) = store
            .write(async |conn| {
                conn.both(
                    async |conn| portals::insert(conn, &portal).await,
                    async |conn| portals::find(conn, &portal.id).await,
                )
                .await
            })
            .await
            .unwrap();
        assert_eq!(found, Some(portal));
    }
}

async fn of_two_things_side_by_side_the_cause_is_told(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let (there, gone) = (portal("there"), portal("gone"));
    let insert = async |conn: &mut Conn, portal: &Portal| portals::insert(conn, portal).await;
    store
        .write(async |conn| insert(conn, &there).await)
        .await
        .unwrap();
    let refused = store
        .write(async |conn| {
            insert(conn, &gone).await?;
            conn.both(
                // Its second statement comes behind the one that is refused.
                async |conn| {
                    portals::find(conn, &there.id).await?;
                    portals::find(conn, &there.id).await
                },
                async |conn| insert(conn, &there).await,
            )
            .await
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Unique(Unique::Portal))));
    assert!(!is_there(&store, &gone).await);
    let (first, second) = store
        .write(async |conn| {
            let answers = conn
                .each(
                    async |conn| insert(conn, &there).await,
                    async |conn| portals::find(conn, &there.id).await,
                )
                .await;
            Ok(answers)
        })
        .await
        .unwrap();
    assert!(matches!(first, Err(StoreError::Unique(Unique::Portal))));
    assert!(matches!(second, Err(StoreError::Moot)));
}

async fn writers_that_read_first_do_not_lose_updates(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let start = portal("counter");
    store
        .write(async |conn| portals::insert(conn, &start).await)
        .await
        .unwrap();
    let increment = async |store: Store| {
        // Compare-and-swap, again until it holds: each success is counted once.
        loop {
            let swapped = store
                .write(async |conn| {
                    let before = portals::find(conn, &start.id).await?.unwrap();
                    let after = Portal {
                        version: before.version + 1,
                        ..before.clone()
                    };
                    portals::update(conn, &after, before.version).await
                })
                .await;
            match swapped {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let all = (0..60).map(|_| increment(store.clone()));
    futures_util::future::join_all(all).await;
    let end = store
        .read(async |conn| portals::find(conn, &start.id).await)
        .await
        .unwrap();
    assert_eq!(end.unwrap().version, 61);
}

async fn the_audit_chain_holds_under_concurrency(engine: Database) {
    let (_database, store) = migrated(engine).await;
    let clock = Clock::standing_at(Timestamp::from_seconds(1_800_000_000));
    let ids = Ids::seeded(clock.clone(), 1);
    let actor = Actor {
        subject: "s".into(),
        issuer: "i".into(),
    };
    let append = async |n: usize, fails: bool| {
        let stamp = Stamp {
            actor: &actor,
            request_id: "r",
            now: clock.now(),
            ids: &ids,
        };
        let draft = Draft {
            action: "portal.updated",
            subject: "/v1/portals/acme".into(),
            details: vec![("n", n.to_string())],
        };
        let result = store
            .write(async |conn| {
                audit::append(conn, "acme", &stamp, &draft).await?;
                if fails {
                    Err(Error::not_found().into())
                } else {
                    Ok(())
                }
            })
            .await;
        assert_eq!(result.is_err(), fails);
    };
    // Every third one rolls back: that must leave no gap.
    futures_util::future::join_all((0..60).map(|n| append(n, n % 3 == 0))).await;
    let (mut entries, head) = store
        .read(async |conn| {
            let entries = audit::list(conn, "acme", None, 1000).await?;
            Ok((entries, audit::head(conn, "acme").await?.unwrap()))
        })
        .await
        .unwrap();
    entries.reverse();
    assert_eq!(entries.len(), 40);
    let chain = entries.iter().map(|(entry, hash)| (entry, hash.as_str()));
    assert_eq!(verify_chain(chain, (head.0, &head.1)), Ok(()));
}

#[tokio::test]
async fn a_url_that_requires_tls_sends_nothing_in_clear() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).await.unwrap();
        // "I speak no TLS": what libpq calls SSLRequest (80877103) is all there may ever be.
        assert_eq!(request[4..], 80_877_103_u32.to_be_bytes());
        stream.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let url = format!("postgres://u:secret-word@127.0.0.1:{port}/x?sslmode=require");
    let database = FreshDatabase::at(url);
    let settings = database.settings();
    let client = migrate::run(&settings, Direction::Look);
    let (rest, refused) = tokio::join!(server, client);
    assert!(rest.is_empty());
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("TLS") && !refused.contains("secret-word"),
        "{refused}"
    );
}

/// What shows on one engine that a statement finds an index holds on the other one, too.
#[test]
fn both_engines_have_the_same_indexes() {
    let indexes = |engine: &str| -> std::collections::BTreeSet<String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let migrations = std::fs::read_dir(folder.join(engine)).unwrap();
        let files =
            migrations.map(|one| std::fs::read_to_string(one.unwrap().path().join("up.sql")));
        let text: String = files.map(Result::unwrap).collect();
        let code = text.lines().map(|line| line.split("--").next().unwrap());
        let statements = code.collect::<Vec<_>>().join(" ");
        statements
            .split(';')
            .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|one| one.starts_with("CREATE INDEX") || one.starts_with("CREATE UNIQUE INDEX"))
            .collect()
    };
    let sqlite = indexes("sqlite");
    assert!(sqlite.len() > 40);
    assert_eq!(sqlite, indexes("postgres"));
}
