//! R1: the work is cut off at every place and Stripe answers in every way it can; afterwards every
//! thing is there exactly once.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::cuts::{self, Cut, PLACES};
use super::invariants::{self, Wanted};
use super::score::Score;
use super::world::{Portal, World};
use super::{Dice, of_tier, only_case, seed};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Answer;

on_both_databases!(cut_off_anywhere_whatever_stripe_answers_everything_is_there_once);

/// What Stripe, or the way to it, does to a call. All of them pass.
const FAULTS: [&str; 13] = [
    "rate_limit",
    "lock_timeout",
    "conflict",
    "error_before",
    "error_after",
    "bad_gateway_before",
    "bad_gateway_after",
    "reset_before",
    "reset_after",
    "slow_after",
    "truncated_body",
    "not_json",
    "not_found_plain",
];
/// Cases that run at the same time in one portal.
const BATCH: usize = 40;

/// What is being done when it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// A customer's first payment method: makes the customer at Stripe.
    FirstMethod,
    /// A further payment method.
    FurtherMethod,
    /// A paid subscription.
    Subscribe,
}

const WORKS: [Work; 2] = [Work::FirstMethod, Work::FurtherMethod];

/// One case.
#[derive(Clone, Debug)]
struct Case {
    number: usize,
    work: Work,
    cuts: Vec<Cut>,
    fault: Option<(&'static str, u32)>,
}

/// The cases of a seed: each work with each place, each fault and each pair of the two, at the first
/// and at the second passing; then cases by chance, with two cuts.
fn cases(seed: u64, wanted: usize) -> Vec<Case> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    let places = PLACES.iter().map(|place| Some(*place)).chain([None]);
    for place in places {
        for fault in FAULTS.iter().map(|fault| Some(*fault)).chain([None]) {
            for nth in [1, 2] {
                for work in WORKS {
                    let cut = place.map(|place| Cut { place, nth });
                    let fault = fault.map(|fault| (fault, nth));
                    all.push((work, cut.into_iter().collect::<Vec<_>>(), fault));
                }
            }
        }
    }
    // The quick tier is a sample of them, another one for each seed.
    for last in (1..all.len()).rev() {
        all.swap(last, dice.below(last + 1));
    }
    while all.len() < wanted {
        let mut cut = || Cut {
            place: PLACES[dice.below(PLACES.len())],
            nth: 1 + u32::try_from(dice.below(3)).unwrap(),
        };
        let cuts = vec![cut(), cut()];
        let fault = (
            FAULTS[dice.below(FAULTS.len())],
            1 + u32::try_from(dice.below(3)).unwrap(),
        );
        all.push((WORKS[dice.below(WORKS.len())], cuts, Some(fault)));
    }
    all.truncate(wanted);
    let case = |(number, (work, cuts, fault))| Case {
        number,
        work,
        cuts,
        fault,
    };
    all.into_iter().enumerate().map(case).collect()
}

/// A case on its way.
struct Run<'a> {
    world: &'a World,
    portal: &'a Portal,
    case: Case,
    customer: String,
    path: String,
    body: Value,
}

impl<'a> Run<'a> {
    async fn prepare(world: &'a World, portal: &'a Portal, case: Case) -> Self {
        let customer = world
            .customer(portal, &format!("case-{}", case.number))
            .await;
        let card = world.card(portal).await;
        let mut run = Self {
            world,
            portal,
            path: portal.path(&format!("/customers/{customer}/payment-methods")),
            body: json!({"payment_method": card, "default": true}),
            customer,
            case,
        };
        if run.case.work != Work::FirstMethod {
            let saved = run.call("first-method").await.unwrap();
            saved.expect(201);
        }
        match run.case.work {
            Work::FirstMethod => {}
            Work::FurtherMethod => run.body["payment_method"] = world.card(portal).await.into(),
            Work::Subscribe => {
                run.path = portal.path("/subscriptions");
                run.body = json!({"customer": run.customer, "product": "api", "plan": "gold"});
            }
        }
        run
    }

    async fn call(&self, key: &str) -> Option<Answer> {
        let key = format!("{key}-{}", self.case.number);
        let base_url = &self.world.service.base_url;
        self.world
            .try_call(base_url, Method::POST, &self.path, Some(&key), &self.body)
            .await
    }

    /// The text that is in every call of this case's to Stripe.
    fn mark(&self) -> String {
        match self.body["payment_method"].as_str() {
            Some(card) => card.to_owned(),
            None => self.customer.clone(),
        }
    }

    /// Runs into what is armed. The answer is of no interest: it may not even come.
    async fn run_into_it(&self) {
        for cut in &self.case.cuts {
            cuts::arm(&self.customer, cut.clone());
        }
        if let Some((kind, nth)) = self.case.fault {
            self.world.fault(kind, &self.mark(), nth).await;
        }
        self.call("the-case").await;
    }

    /// Asks again until there is an answer that stays, and then once more.
    async fn ask_again(&self) -> Result<(), String> {
        cuts::disarm(&self.customer);
        let mut heard = String::from("nothing");
        for _attempt in 0..3 {
            let Some(answer) = self.call("the-case").await else {
                continue;
            };
            if !answer.status.is_success() || answer.status == 202 {
                heard = format!("{} {}", answer.status, answer.text);
                continue;
            }
            let Some(again) = self.call("the-case").await else {
                return Err("I4: no second answer".to_owned());
            };
            let same = again.status == answer.status && again.text == answer.text;
            if !same || again.header("idempotency-replayed") != Some("true") {
                return Err(format!(
                    "I4: first {} {}, then {} {}",
                    answer.status, answer.text, again.status, again.text
                ));
            }
            return Ok(());
        }
        Err(format!("asked again: {heard}"))
    }
}

async fn batch(world: &World, number: usize, cases: &[Case]) -> Vec<String> {
    let portal = world.open_portal(&format!("batch-{number}")).await;
    // PUBLISH
    let prepared = cases
        .iter()
        .map(|case| Run::prepare(world, &portal, case.clone()));
    let runs = join_all(prepared).await;
    join_all(runs.iter().map(Run::run_into_it)).await;
    let mut wrong = Vec::new();
    wrong.extend(
        world
            .come_to_rest(std::slice::from_ref(&portal))
            .await
            .err(),
    );
    let answers = join_all(runs.iter().map(Run::ask_again)).await;
    wrong.extend(answers.into_iter().zip(&runs).filter_map(|(answer, run)| {
        let wrong = answer.err()?;
        Some(format!("case {:?}: {wrong}", run.case))
    }));
    wrong.extend(
        world
            .come_to_rest(std::slice::from_ref(&portal))
            .await
            .err(),
    );
    let is_subscribing = |case: &&Case| case.work == Work::Subscribe;
    let wanted = Wanted {
        customers: cases.len(),
        subscriptions: cases.iter().filter(is_subscribing).count(),
    };
    wrong.extend(invariants::check(world, &portal, wanted).await);
    if !wrong.is_empty() {
        let whose = runs.iter().map(|run| (&run.customer, run.case.number));
        wrong.push(format!("batch {number}: {:?}", whose.collect::<Vec<_>>()));
    }
    let ended = world
        .service
        .simulator(Method::DELETE, "/faults", Value::Null);
    ended.await;
    wrong
}

async fn cut_off_anywhere_whatever_stripe_answers_everything_is_there_once(engine: Database) {
    let wanted = of_tier(200, 2_500);
    let mut score = Score::new("R1", engine);
    let mut cases = cases(seed(), wanted);
    let only = only_case();
    if let Some(only) = only {
        cases.retain(|case| case.number == only);
    }
    let world = World::start(engine).await;
    for (number, some) in cases.chunks(BATCH).enumerate() {
        score.count(some.len());
        for wrong in batch(&world, number, some).await {
            score.violation(wrong);
        }
    }
    score.close(if only.is_some() { 1 } else { wanted });
}
