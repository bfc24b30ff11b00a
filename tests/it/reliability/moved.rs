//! C26: a portal stays in its account while work is cut off that began there.

use reqwest::Method;
use serde_json::{Value, json};

use super::cuts::{self, Cut, PLACES};
use super::invariants::{self, Wanted};
use super::world::{Asked, Portal, World};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Answer;

on_both_databases!(nothing_moves_to_another_account_while_work_is_on_its_way,);

/// A portal whose customer's first payment method is cut off at this place; the request.
async fn cut_off(world: &World, number: usize, place: &'static str) -> (Portal, Asked) {
    let portal = world.open_portal(&format!("moved-{number}")).await;
    let customer = world.customer(&portal, "globex").await;
    let asked = world.saving(&portal, &customer, "saved-0001").await;
    cuts::arm(&customer, Cut { place, nth: 1 });
    world.ask(&world.service.base_url, &asked, 1).await;
    assert_eq!(cuts::disarm(&customer), [], "it was cut off at {place}");
    (portal, asked)
}

/// Stores another account's keys for a portal.
async fn move_to(world: &World, portal: &Portal, account: &str) -> Answer {
    let id = portal.account.trim_start_matches("acct_");
    let keys = ["sk", "pk"].map(|kind| format!("{kind}_test_Other{id}"));
    for key in &keys {
        world.service.accept_key(key, account, &[]).await;
    }
    let body = json!({
        "secret_key": keys[0], "publishable_key": keys[1], "confirm_account_change": true,
    });
    let path = portal.path("/modules/stripe/credentials");
    world.service.put(&path, body).await
}

/// Until the work is done; its answer.
async fn done(world: &World, portal: &Portal, asked: &Asked) -> Value {
    world
        .come_to_rest(std::slice::from_ref(portal))
        .await
        .unwrap();
    let answer = world.ask(&world.service.base_url, asked, 20).await;
    answer.unwrap().expect(201)
}

async fn nothing_moves_to_another_account_while_work_is_on_its_way(engine: Database) {
    let world = World::start(engine).await;
    for (number, place) in PLACES.into_iter().enumerate() {
        let (portal, asked) = cut_off(&world, number, place).await;
        if world.is_at_rest(&portal).await {
            continue;
        }
        let elsewhere = format!("acct_elsewhere{number}");
        let refused = move_to(&world, &portal, &elsewhere).await;
        refused.problem(409, "stripe_account_mismatch");
        let path = portal.path("/modules/stripe/credentials");
        let kept = world.service.delete(&path).await;
        kept.problem(409, "credentials_in_use");
        done(&world, &portal, &asked).await;
        let wanted = Wanted::customers(1);
        assert_eq!(
            invariants::check(&world, &portal, wanted).await,
            [""; 0],
            "{place}"
        );
        let path = format!("/state?account={elsewhere}");
        let there = world.service.simulator(Method::GET, &path, Value::Null);
        assert_eq!(there.await["objects"]["customer"], json!([]), "{place}");
    }
}
