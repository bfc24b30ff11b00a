//! Who works on a stored event, when more than one has claimed it.

use portal_billing::clock::Timestamp;
use portal_billing::domain::credentials::Sealed;
use portal_billing::domain::inbox::{InboxEvent, Status};
use portal_billing::domain::slug::Slug;
use portal_billing::store::Store;
use portal_billing::store::stripe_events::{self, Settled, StoredEvent};
use serde_json::json;

use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_claim_that_ran_out_says_nothing_of_what_another_has_settled,
    a_claim_that_ran_out_leaves_the_next_one_alone,
);

const EVENT: &str = "evt_claimed";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// To be tried again at that time, as after a failed read.
fn again(seconds: i64) -> Settled {
    Settled {
        status: Status::Refetch,
        next_attempt_at: Some(at(seconds)),
        error: Some("unreachable".to_owned()),
    }
}

/// A store with the portal `acme` and an event that waits for its second attempt.
async fn with_event(engine: Database) -> (Service, Store, Slug) {
    let service = Service::start_with(engine, &[("operations.poll_ms", "60000")]).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    let store = Store::new(service.database.settings()).unwrap();
    let portal = Slug::parse("acme").unwrap();
    let event = InboxEvent {
        portal: portal.clone(),
        id: EVENT.to_owned(),
        event_type: "customer.subscription.updated".to_owned(),
        api_version: String::new(),
        object_id: "sub_1".to_owned(),
        status: Status::Refetch,
        attempts: 0,
        next_attempt_at: None,
        error: None,
        created_at: at(1),
        received_at: at(1),
    };
    let payload = Sealed {
        data_key_version: 1,
        blob: vec![1],
    };
    store
        .write(async |conn| {
            stripe_events::insert(conn, &[&event]).await?;
            stripe_events::keep(conn, &portal, EVENT, &again(1), &payload).await
        })
        .await
        .unwrap();
    (service, store, portal)
}

async fn claim(store: &Store, now: i64) -> StoredEvent {
    let claimed = store
        .write(async |conn| stripe_events::claim_due(conn, at(now), at(now + 60), 10).await)
        .await
        .unwrap();
    let [only] = <[StoredEvent; 1]>::try_from(claimed).ok().unwrap();
    only
}

async fn put_back(store: &Store, portal: &Slug, claimed: &StoredEvent, settled: &Settled) {
    let attempt = claimed.event.attempts;
    store
        .write(async |conn| stripe_events::put_back(conn, portal, EVENT, attempt, settled).await)
        .await
        .unwrap();
}

async fn stored(store: &Store, portal: &Slug) -> StoredEvent {
    let found = store
        .read(async |conn| stripe_events::find(conn, portal, EVENT).await)
        .await;
    found.unwrap().unwrap()
}

async fn a_claim_that_ran_out_says_nothing_of_what_another_has_settled(engine: Database) {
    let (_service, store, portal) = with_event(engine).await;
    let slow = claim(&store, 100).await;
    let quick = claim(&store, 200).await;
    assert_eq!((slow.event.attempts, quick.event.attempts), (1, 2));
    store
        .write(async |conn| stripe_events::settle(conn, &portal, &[EVENT], Status::Applied).await)
        .await
        .unwrap();
    // Without its payload it would be a dead letter at the next attempt.
    for claimed in [&slow, &quick] {
        put_back(&store, &portal, claimed, &again(300)).await;
        let found = stored(&store, &portal).await;
        assert_eq!(found.event.status, Status::Applied);
        assert_eq!(
            (found.event.next_attempt_at, found.payload.is_some()),
            (None, false)
        );
    }
}

async fn a_claim_that_ran_out_leaves_the_next_one_alone(engine: Database) {
    let (_service, store, portal) = with_event(engine).await;
    let slow = claim(&store, 100).await;
    let quick = claim(&store, 200).await;
    put_back(&store, &portal, &slow, &again(201)).await;
    let found = stored(&store, &portal).await.event;
    assert_eq!((found.attempts, found.next_attempt_at), (2, Some(at(260))));
    put_back(&store, &portal, &quick, &again(300)).await;
    let found = stored(&store, &portal).await;
    assert_eq!(
        (found.event.next_attempt_at, found.event.error.as_deref()),
        (Some(at(300)), Some("unreachable"))
    );
    assert!(found.payload.is_some());
}
