//! R1: the work is cut off at every place and Stripe answers in every way it can; afterwards every
//! thing is there exactly once.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::cuts::{self, Cut, PLACES};
use super::invariants::{self, Wanted};
use super::score::Score;
use super::world::{Asked, PRICE, Portal, World};
use super::{Dice, of_tier, only_case, seed};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Answer;

on_both_databases!(cut_off_anywhere_whatever_stripe_answers_everything_is_there_once);

/// What Stripe, or the way to it, does to a call. All of them pass.
pub(super) const FAULTS: [&str; 13] = [
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
const BATCH: usize = 50;

/// What is being done when it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// A customer's first payment method: makes the customer at Stripe.
    FirstMethod,
    /// A further payment method.
    FurtherMethod,
    /// A paid subscription.
    Subscribe,
    /// The end of one.
    Cancel,
    /// A product with a paid plan.
    Publish,
    /// The loss of a payment method.
    Detach,
    /// Another name for a customer.
    Rename,
    /// The payment of an open invoice.
    Pay,
    /// The end of one.
    Void,
    /// A Checkout page of a subscription.
    Page,
    /// A further one, which closes the one before.
    FurtherPage,
    /// The end of a subscription that is to be paid on one.
    CancelPage,
}

const WORKS: [Work; 12] = [
    Work::FirstMethod,
    Work::FurtherMethod,
    Work::Subscribe,
    Work::Cancel,
    Work::Publish,
    Work::Detach,
    Work::Rename,
    Work::Pay,
    Work::Void,
    Work::Page,
    Work::FurtherPage,
    Work::CancelPage,
];

impl Work {
    /// What is done with an invoice, if that is it.
    const fn of_invoice(self) -> Option<&'static str> {
        match self {
            Self::Pay => Some("pay"),
            Self::Void => Some("void"),
            _ => None,
        }
    }

    /// Whether it is about a Checkout page of a subscription.
    const fn of_page(self) -> bool {
        matches!(self, Self::Page | Self::FurtherPage | Self::CancelPage)
    }
}

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
    case: Case,
    asked: Asked,
    /// What its work is serialized by.
    lane: String,
    /// The text that is in every call of its work's to Stripe.
    mark: String,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, case: Case, lane: String, (asked, mark): (Asked, String)) -> Self {
        Self {
            world,
            case,
            asked,
            lane,
            mark,
        }
    }

    async fn prepare(world: &'a World, portal: &'a Portal, case: Case) -> Self {
        let number = case.number;
        if case.work == Work::Publish {
            let product = format!("api-{number}x");
            let asked = World::publishing(portal, &product);
            let lane = format!("product:{product}");
            return Self::new(world, case, lane, (asked, product));
        }
        let customer = world.customer(portal, &format!("case-{number}")).await;
        if case.work.of_page() {
            let asked = about_page(world, portal, &case, &customer).await;
            return Self::new(world, case, customer, asked);
        }
        let saving = async |key: &str| {
            let key = format!("{key}-{number}");
            world.saving(portal, &customer, &key).await
        };
        let card_of = |asked: &Asked| asked.body["payment_method"].as_str().unwrap().to_owned();
        let mut asked = saving("the-case").await;
        let mut mark = card_of(&asked);
        if case.work != Work::FirstMethod {
            let first = saving("first-method").await;
            let saved = done(world, &first).await;
            let path = format!("/customers/{customer}");
            if case.work == Work::Detach {
                mark = card_of(&first);
                let method = saved["id"].as_str().unwrap();
                let path = portal.path(&format!("{path}/payment-methods/{method}"));
                asked = Asked::unkeyed(Method::DELETE, path, Value::Null);
            } else if case.work.of_invoice().is_some() {
                world.bill(portal, &customer).await;
            } else if case.work == Work::Rename {
                mark = format!("Initech-{number}x");
                let body = json!({"name": mark});
                asked = Asked::unkeyed(Method::PATCH, portal.path(&path), body);
            }
        }
        if matches!(case.work, Work::Subscribe | Work::Cancel) {
            let body = json!({"customer": customer, "product": "api", "plan": "gold"});
            asked = Asked::post(
                portal.path("/subscriptions"),
                format!("the-case-{number}"),
                body,
            );
            mark.clone_from(&customer);
        }
        if case.work == Work::Cancel {
            let made = done(world, &asked).await;
            let id = made["id"].as_str().unwrap();
            let path = portal.path(&format!("/subscriptions/{id}/cancel"));
            asked = Asked::post(path, format!("cancel-{number}"), json!({"at": "now"}));
            made["stripe"]["subscription"]
                .as_str()
                .unwrap()
                .clone_into(&mut mark);
        }
        Self::new(world, case, customer, (asked, mark))
    }

    /// Names the invoice that it is about, once that is known here.
    async fn name_invoice(&mut self, portal: &Portal) {
        let Some(verb) = self.case.work.of_invoice() else {
            return;
        };
        let invoice = self.world.open_invoice(portal, &self.lane).await;
        let id = invoice["id"].as_str().unwrap();
        let path = portal.path(&format!("/invoices/{id}/{verb}"));
        self.asked = Asked::post(path, format!("the-case-{}", self.case.number), json!({}));
        let there = invoice["stripe"]["invoice"].as_str().unwrap();
        there.clone_into(&mut self.mark);
    }

    async fn ask(&self, wait: u8) -> Option<Answer> {
        self.world
            .ask(&self.world.service.base_url, &self.asked, wait)
            .await
    }

    /// Runs into what is armed. The answer is of no interest: it may not even come.
    async fn run_into_it(&self) {
        for cut in &self.case.cuts {
            cuts::arm(&self.lane, cut.clone());
        }
        if let Some((kind, nth)) = self.case.fault {
            self.world.fault(kind, &self.mark, nth).await;
        }
        self.ask(1).await;
    }

    /// Asks again until there is an answer that stays, and then once more.
    async fn ask_again(&self) -> Result<(), String> {
        cuts::disarm(&self.lane);
        let mut heard = String::from("nothing");
        for _attempt in 0..3 {
            let Some(answer) = self.ask(20).await else {
                continue;
            };
            if self.case.work == Work::Detach && answer.status == 404 {
                // It is gone for good, and nobody is told so twice.
                return Ok(());
            }
            if !answer.status.is_success() || answer.status == 202 {
                heard = format!("{} {}", answer.status, answer.text);
                continue;
            }
            let Some(again) = self.ask(20).await else {
                return Err("I4: no second answer".to_owned());
            };
            // Without a key it is done again, and comes to the same.
            if self.case.work == Work::Detach {
                let gone = again.status == 404;
                return gone
                    .then_some(())
                    .ok_or(format!("detached: {}", again.text));
            }
            let kept = self.asked.key.is_none()
                || again.status == answer.status
                    && again.text == answer.text
                    && again.header("idempotency-replayed") == Some("true");
            if !kept || !again.status.is_success() {
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

/// A request about a Checkout page of a subscription, and a text that is in its calls.
async fn about_page(
    world: &World,
    portal: &Portal,
    case: &Case,
    customer: &str,
) -> (Asked, String) {
    let path = portal.path(&format!("/customers/{customer}/checkout-sessions"));
    let body = json!({
        "mode": "subscription", "product": "api", "plan": "gold",
        "success_url": "https://portal.example/done", "cancel_url": "https://portal.example/back",
    });
    let opening = |key: &str| {
        let key = format!("{key}-{}", case.number);
        Asked::post(path.clone(), key, body.clone())
    };
    if case.work == Work::Page {
        return (opening("the-case"), customer.to_owned());
    }
    let before = done(world, &opening("first-page")).await;
    let mark = before["id"].as_str().unwrap().to_owned();
    if case.work == Work::FurtherPage {
        // One call names the page before, the other the customer.
        let names_customer = case.number.is_multiple_of(2);
        let mark = if names_customer {
            customer.to_owned()
        } else {
            mark
        };
        return (opening("the-case"), mark);
    }
    let id = before["subscription"].as_str().unwrap();
    let path = portal.path(&format!("/subscriptions/{id}/cancel"));
    let key = format!("the-case-{}", case.number);
    (Asked::post(path, key, json!({"at": "now"})), mark)
}

/// Preparation: done at once, or the machine is busy.
async fn done(world: &World, asked: &Asked) -> Value {
    let answer = world.ask(&world.service.base_url, asked, 30).await.unwrap();
    assert!(
        matches!(answer.status.as_u16(), 200 | 201),
        "{}",
        answer.text
    );
    answer.json()
}

async fn batch(world: &World, number: usize, cases: &[Case]) -> Vec<String> {
    let portal = world.open_portal(&format!("batch-{number}")).await;
    let prepared = cases
        .iter()
        .map(|case| Run::prepare(world, &portal, case.clone()));
    done(world, &World::publishing(&portal, "api")).await;
    let mut runs = world.in_time(join_all(prepared)).await;
    if cases.iter().any(|case| case.work.of_invoice().is_some()) {
        // No event of Stripe's is heard here.
        assert_eq!(done(world, &portal.mending()).await["status"], "done");
    }
    for run in &mut runs {
        run.name_invoice(&portal).await;
    }
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
    let count = |of: fn(Work) -> bool| cases.iter().filter(|case| of(case.work)).count();
    let mut wanted = Wanted::customers(count(|work| work != Work::Publish))
        .paid(count(|work| matches!(work, Work::Subscribe | Work::Cancel)))
        .plans(1 + count(|work| work == Work::Publish));
    wanted.pages = count(|work| matches!(work, Work::Page | Work::FurtherPage));
    wanted.charged += PRICE * i64::try_from(count(|work| work == Work::Pay)).unwrap();
    wrong.extend(invariants::check(world, &portal, wanted).await);
    if !wrong.is_empty() {
        let whose = runs.iter().map(|run| (&run.lane, run.case.number));
        wrong.push(format!("batch {number}: {:?}", whose.collect::<Vec<_>>()));
    }
    wrong
}

/// How many of the faults happened; ends them all.
async fn end_faults(world: &World) -> usize {
    let plan = world.service.simulator(Method::GET, "/faults", Value::Null);
    let plan = plan.await;
    let ended = world
        .service
        .simulator(Method::DELETE, "/faults", Value::Null);
    ended.await;
    let hit = |rule: &&Value| rule["hits"].as_u64().unwrap() > 0;
    plan["rules"].as_array().unwrap().iter().filter(hit).count()
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
    let cuts_before = cuts::happened();
    let mut faults_hit = 0;
    for (number, some) in cases.chunks(BATCH).enumerate() {
        score.count(some.len());
        for wrong in batch(&world, number, some).await {
            score.violation(wrong);
        }
        faults_hit += end_faults(&world).await;
    }
    let cuts = cuts::happened() - cuts_before;
    if only.is_none() {
        // A second passing that does not come, as in works of one call, leaves its cut or its fault undone.
        assert!(cuts * 5 > cases.len() * 2, "only {cuts} cuts");
        assert!(faults_hit * 5 > cases.len() * 2, "only {faults_hit} faults");
    }
    score.close(if only.is_some() { 1 } else { wanted });
}
