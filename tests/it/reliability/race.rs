//! C29: a cancel races the making of its subscription, which is cut off and meets what Stripe can do to
//! it. After a cancel that was accepted nothing lives, here or there, and nothing is charged twice.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::cuts::{self, Cut, PLACES};
use super::invariants::{self, Wanted};
use super::matrix::FAULTS;
use super::score::Score;
use super::world::{Asked, PRICE, Portal, World};
use super::{Dice, of_tier, seed};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(after_an_accepted_cancel_nothing_lives);

/// Cases that run at the same time in one portal.
const BATCH: usize = 30;

/// Asks for a subscription and at once for its end; what is to be asked again.
async fn race(world: &World, portal: &Portal, number: usize, mut dice: Dice) -> Option<Asked> {
    let customer = world.customer(portal, &format!("race-{number}")).await;
    let saving = world
        .saving(portal, &customer, &format!("race-save-{number}"))
        .await;
    let saved = world.ask(&world.service.base_url, &saving, 30).await;
    saved.unwrap().expect(201);
    let cut = Cut {
        place: PLACES[dice.below(PLACES.len())],
        nth: 1 + u32::try_from(dice.below(2)).unwrap(),
    };
    let fault = FAULTS[dice.below(FAULTS.len())];
    // The making is cut off, or the end, or both are hindered by Stripe alone.
    let during = dice.below(3);
    if during > 0 {
        world.fault(fault, &customer, 1).await;
    }
    let body = json!({"customer": customer, "product": "api", "plan": "gold"});
    let key = format!("race-make-{number}");
    let making = Asked::post(portal.path("/subscriptions"), key, body);
    if during == 0 {
        cuts::arm(&customer, cut.clone());
    }
    world.ask(&world.service.base_url, &making, 0).await;
    if during == 1 {
        cuts::arm(&customer, cut);
    }
    let path = portal.path(&format!("/subscriptions?customer={customer}"));
    let seen = world.service.get(&path).await.expect(200);
    // Cut off before it was stored, it never was; whoever asked may ask again.
    let id = seen["data"][0]["id"].as_str()?;
    let path = portal.path(&format!("/subscriptions/{id}/cancel"));
    let ending = Asked::post(path, format!("race-end-{number}"), json!({"at": "now"}));
    world.ask(&world.service.base_url, &ending, 0).await;
    Some(ending)
}

/// What is wrong at Stripe: what lives there, and who was charged twice.
fn at_stripe(stripe: &Value) -> (usize, Vec<String>) {
    let all = |kind: &str| stripe[kind].as_array().cloned().unwrap_or_default();
    let made = all("subscription");
    let mut wrong: Vec<String> = made
        .iter()
        .filter(|it| it["status"] != "canceled")
        .map(|it| format!("C29: {} is {} at Stripe", it["id"], it["status"]))
        .collect();
    let mut paid: BTreeMap<String, usize> = BTreeMap::new();
    for charge in all("charge").iter().filter(|it| it["paid"] == true) {
        *paid.entry(charge["customer"].to_string()).or_default() += 1;
    }
    let twice = paid.iter().filter(|(_, times)| **times > 1);
    wrong.extend(twice.map(|(customer, _)| format!("I5: {customer} was charged twice")));
    (made.len(), wrong)
}

async fn after_an_accepted_cancel_nothing_lives(engine: Database) {
    let cases = of_tier(60, 600);
    let world = World::start(engine).await;
    let mut score = Score::new("R1-race", engine);
    let mut dice = Dice(seed());
    let mut accepted = 0;
    for batch in 0..cases / BATCH {
        let portal = world.open_portal(&format!("race-{batch}")).await;
        let published = World::publishing(&portal, "api");
        let published = world.ask(&world.service.base_url, &published, 30).await;
        published.unwrap().expect(201);
        let runs = (0..BATCH).map(|number| race(&world, &portal, number, Dice(dice.roll())));
        let runs = runs.collect::<Vec<_>>();
        let asked: Vec<Asked> = join_all(runs).await.into_iter().flatten().collect();
        let rest = world.come_to_rest(std::slice::from_ref(&portal)).await;
        rest.unwrap_or_else(|wrong| score.violation(wrong));
        world
            .service
            .simulator(Method::DELETE, "/faults", Value::Null)
            .await;
        cuts::disarm_all();
        for ending in asked {
            let answer = world.ask(&world.service.base_url, &ending, 30).await;
            let answer = answer.map(|it| (it.status.as_u16(), it.text));
            match answer {
                Some((200, _)) => accepted += 1,
                // It came to nothing before the cancel had its turn.
                Some((404 | 409, _)) => {}
                other => score.violation(format!("{:?}: {other:?}", ending.key)),
            }
        }
        let rest = world.come_to_rest(std::slice::from_ref(&portal)).await;
        rest.unwrap_or_else(|wrong| score.violation(wrong));
        let (made, wrong) = at_stripe(&world.at_stripe(&portal).await);
        let wanted = Wanted {
            subscriptions: made,
            charged: PRICE * i64::try_from(made).unwrap(),
            ..Wanted::customers(BATCH).plans(1)
        };
        for wrong in wrong
            .into_iter()
            .chain(invariants::check(&world, &portal, wanted).await)
        {
            score.violation(wrong);
        }
        score.count(BATCH);
    }
    assert!(accepted > cases / 2, "only {accepted} cancels");
    score.close(cases);
}
