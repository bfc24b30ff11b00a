//! One customer's life: what it does next is for its dice to say, and what must come of it for the
//! reference.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::Dice;
use super::super::cuts::{self, Cut, PLACES};
use super::super::matrix::FAULTS;
use super::super::world::{Asked, Portal, World, a_moment};
use super::reference::{Customer, Heard, PLANS, Plan, State, Status};
use crate::support::service::Answer;

/// The one of Stripe's faults that takes its time, of which a life has none to spare.
const SLOW: &str = "slow_after";
/// How often somebody comes back who was cut off.
const COMES_BACK: u32 = 25;

/// Of what somebody does at Stripe, paying an invoice.
pub(super) const PAYS: usize = 1;

/// A way out of a debt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The first card that is left pays.
    Pay,
    /// Nobody does.
    Void,
}

/// A call that was cut off, and what has to come of it.
struct CutOff {
    name: String,
    asked: Asked,
    heard: Heard,
}

/// See the module.
pub(super) struct Life<'a> {
    world: &'a World,
    portal: &'a Portal,
    pub(super) number: usize,
    dice: Dice,
    pub(super) own: Customer,
    /// Our id, `org_…`.
    pub(super) id: String,
    /// Stripe's ids of the cards, and ours as far as they are known.
    cards: Vec<(String, Option<String>)>,
    /// Our ids of the subscriptions.
    subscriptions: Vec<String>,
    cut_off: Option<CutOff>,
    /// Nothing more is done in this phase.
    pub(super) rests: bool,
    /// A call of Stripe's may still go wrong.
    faulted: bool,
    keys: u32,
    /// What was done and heard, without ids.
    pub(super) trace: Vec<String>,
    /// What went otherwise than it must; nothing more is done then.
    pub(super) wrong: Option<String>,
}

impl<'a> Life<'a> {
    pub(super) async fn begin(
        world: &'a World,
        portal: &'a Portal,
        (number, dice): (usize, Dice),
        ends_unpaid: bool,
    ) -> Self {
        let id = world.customer(portal, &format!("life-{number}")).await;
        Self {
            world,
            portal,
            number,
            dice,
            own: Customer::new(world.service.clock.now().as_seconds(), ends_unpaid),
            id,
            cards: Vec::new(),
            subscriptions: Vec::new(),
            cut_off: None,
            rests: false,
            faulted: false,
            keys: 0,
            trace: Vec::new(),
            wrong: None,
        }
    }

    /// Does a few things, one after another.
    pub(super) async fn phase(&mut self) {
        (self.rests, self.faulted) = (false, false);
        if self.is_led().await {
            return;
        }
        if self.own.cards.is_empty() {
            // Most lives begin with a card.
            if self.dice.below(8) > 0 {
                self.save().await;
            }
        }
        // What is rare and matters happens more often than chance has it: cards that start to fail,
        // and what people do about it.
        match (self.own.open_invoice(), self.own.live(), self.dice.below(5)) {
            (Some(_), _, 0..=1) => self.settle(None).await,
            (Some(_), _, 2) => self.at_dashboard(None, None).await,
            (None, Some(it), 0..=1) if self.own.subscriptions[it].at_stripe => {
                self.save_card(false, true).await;
            }
            _ => {}
        }
        for _ in 0..=self.dice.below(3) {
            if self.rests || self.wrong.is_some() {
                return;
            }
            self.something().await;
        }
    }

    async fn something(&mut self) {
        let live = self.own.live();
        let last = self.own.subscriptions.len().checked_sub(1);
        match (self.dice.below(100), live.or(last)) {
            (0..=21, _) | (22..=61, None) => self.subscribe().await,
            (22..=29, Some(it)) => self.tell(it, "cancel", json!({"at": "now"})).await,
            (30..=35, Some(it)) => self.tell(it, "cancel", json!({"at": "period_end"})).await,
            (36..=38, Some(it)) => self.tell(it, "undo-cancel", Value::Null).await,
            (39..=47, Some(it)) => self.tell(it, "approve", Value::Null).await,
            (48..=50, Some(it)) => self.tell(it, "reject", Value::Null).await,
            (51..=61, Some(_)) => self.settle(None).await,
            (62..=72, _) => self.save().await,
            (73..=79, _) => self.detach().await,
            (80..=87, _) => self.set_default().await,
            (_, live) => self.at_dashboard(live, None).await,
        }
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}", self.id, self.keys)
    }

    fn path(&self, below: &str) -> String {
        self.portal.path(&format!("/customers/{}{below}", self.id))
    }

    async fn save(&mut self) {
        let works = self.dice.below(3) > 0;
        let default = self.own.cards_left().is_empty() || self.dice.below(2) == 0;
        self.save_card(works, default).await;
    }

    pub(super) async fn save_card(&mut self, works: bool, default: bool) {
        let (name, card) = self.new_card(works).await;
        let body = json!({"payment_method": card, "default": default});
        let asked = Asked::post(self.path("/payment-methods"), self.key(), body);
        let heard = self.own.save(works, default);
        self.ask(
            format!("save {name} default={default}"),
            asked,
            heard,
            &card,
        )
        .await;
    }

    /// A further card of the customer's, at Stripe alone so far: its name and Stripe's id.
    async fn new_card(&mut self, works: bool) -> (&'static str, String) {
        let name = if works { "visa" } else { "chargeCustomerFail" };
        let card = self.world.card_named(self.portal, name).await;
        self.cards.push((card.clone(), None));
        (name, card)
    }

    async fn subscribe(&mut self) {
        let plan = [PLANS[self.dice.below(PLANS.len())], Plan::Gold][self.dice.below(2)];
        let trial = self.dice.below(4) > 0;
        self.subscribe_to(plan, trial).await;
    }

    pub(super) async fn subscribe_to(&mut self, plan: Plan, trial: bool) {
        let body = json!({
            "customer": self.id, "product": "api", "plan": plan.name(), "trial": trial,
        });
        let asked = Asked::post(self.portal.path("/subscriptions"), self.key(), body);
        let heard = self.own.subscribe(plan, trial);
        let mark = self.id.clone();
        self.ask(
            format!("subscribe {plan:?} trial={trial}"),
            asked,
            heard,
            &mark,
        )
        .await;
    }

    pub(super) async fn tell(&mut self, it: usize, verb: &str, body: Value) {
        let path = format!("/subscriptions/{}/{verb}", self.subscriptions[it]);
        let name = format!("{verb} {body}");
        let heard = match (verb, body["at"].as_str()) {
            ("approve", _) => self.own.approve(it),
            ("reject", _) => self.own.reject(it),
            ("undo-cancel", _) => self.own.undo_cancel(it),
            (_, Some("now")) => self.own.cancel_now(it),
            _ => self.own.cancel_with_period(it),
        };
        let mark = match verb {
            "approve" => self.id.clone(),
            _ => self.there(it).await,
        };
        let asked = Asked::post(self.portal.path(&path), self.key(), body);
        self.ask(name, asked, heard, &mark).await;
    }

    /// Pays an open invoice, or makes it void: as chance has it, or in this way.
    pub(super) async fn settle(&mut self, way: Option<Way>) {
        let Some(invoice) = self.own.open_invoice() else {
            return;
        };
        let it = self.own.invoices[invoice].subscription;
        let path = format!("/invoices?customer={}&status=open", self.id);
        let open = self.world.service.get(&self.portal.path(&path)).await;
        let open = open.expect(200);
        let found = open["data"].as_array().unwrap().iter();
        let mut found = found.filter(|own| own["subscription"] == self.subscriptions[it].as_str());
        let Some(found) = found.next() else {
            self.wrong = Some(format!("no open invoice of subscription {it} is known"));
            return;
        };
        let (id, there) = (
            found["id"].as_str().unwrap().to_owned(),
            found["stripe"]["invoice"].as_str().unwrap().to_owned(),
        );
        let ended = self.own.subscriptions[it].status == Status::Canceled;
        let left = self.own.cards_left();
        let named = match (way, self.dice.below(3)) {
            (Some(_), _) => left.first().copied(),
            (None, 0) if !ended => None,
            _ if left.is_empty() => return,
            _ => Some(left[self.dice.below(left.len())]),
        };
        let voids = match way {
            Some(way) => way == Way::Void,
            None => self.dice.below(4) == 0,
        };
        let (verb, heard, body) = if voids {
            ("void", self.own.void(invoice), Value::Null)
        } else {
            let method = named.and_then(|card| self.cards[card].1.clone());
            let body = match (named, method) {
                (Some(_), None) => return,
                (_, method) => json!({"payment_method": method}),
            };
            ("pay", self.own.pay(invoice, named), body)
        };
        let path = self.portal.path(&format!("/invoices/{id}/{verb}"));
        let asked = Asked::post(path, self.key(), body);
        self.ask(format!("{verb} with {named:?}"), asked, heard, &there)
            .await;
    }

    async fn detach(&mut self) {
        if self.own.cards.is_empty() {
            return;
        }
        let card = self.dice.below(self.own.cards.len());
        let (there, Some(method)) = self.cards[card].clone() else {
            return;
        };
        let heard = self.own.detach(card);
        let path = self.path(&format!("/payment-methods/{method}"));
        let asked = Asked::unkeyed(Method::DELETE, path, Value::Null);
        self.ask(format!("detach {card}"), asked, heard, &there)
            .await;
    }

    async fn set_default(&mut self) {
        let card = match self.own.cards.len() {
            0 => None,
            count => Some(self.dice.below(count)).filter(|_| self.dice.below(6) > 0),
        };
        let method = card.map(|card| self.cards[card].1.clone());
        if method == Some(None) {
            return;
        }
        let heard = self.own.set_default(card);
        let body = json!({"default_payment_method": method.flatten()});
        let asked = Asked::unkeyed(Method::PATCH, self.path(""), body);
        let mark = self.id.clone();
        self.ask(format!("default {card:?}"), asked, heard, &mark)
            .await;
    }

    /// Somebody does something at Stripe; the service hears of it afterwards, if at all.
    pub(super) async fn at_dashboard(&mut self, it: Option<usize>, what: Option<usize>) {
        if !self.own.at_stripe || self.faulted {
            return;
        }
        self.rests = true;
        let invoice = self.own.open_invoice();
        let left = self.own.cards_left();
        let what = what.unwrap_or_else(|| self.dice.below(4));
        let (name, method, path, form) = match (what, it, invoice) {
            (0, Some(it), _)
                if self.own.live() == Some(it) && self.own.subscriptions[it].at_stripe =>
            {
                self.own.end(it);
                let path = format!("/v1/subscriptions/{}", self.there(it).await);
                ("cancels", Method::DELETE, path, String::new())
            }
            (PAYS, _, Some(invoice)) => {
                let it = self.own.invoices[invoice].subscription;
                let Some(path) = self.open_there(it).await else {
                    self.wrong = Some(format!("subscription {it} has no open invoice at Stripe"));
                    return;
                };
                self.own.settle(invoice);
                (
                    "pays",
                    Method::POST,
                    path,
                    "paid_out_of_band=true".to_owned(),
                )
            }
            (2, ..) if !left.is_empty() => {
                let card = left[self.dice.below(left.len())];
                self.own.set_default(Some(card));
                let path = format!("/v1/customers/{}", self.customer_there().await);
                let card = &self.cards[card].0;
                let form = format!("invoice_settings[default_payment_method]={card}");
                ("takes another card", Method::POST, path, form)
            }
            (3, ..) => {
                let works = self.dice.below(3) > 0;
                let (_, card) = self.new_card(works).await;
                self.own.save(works, false);
                let form = format!("customer={}", self.customer_there().await);
                let path = format!("/v1/payment_methods/{card}/attach");
                ("adds a card", Method::POST, path, form)
            }
            _ => return,
        };
        self.trace.push(format!("at Stripe: {name}"));
        self.world
            .at_dashboard(self.portal, method, &path, form)
            .await;
    }

    /// Stripe's id of a subscription, or something that is in no call.
    async fn there(&self, it: usize) -> String {
        let path = format!("/subscriptions/{}", self.subscriptions[it]);
        let seen = self.world.service.get(&self.portal.path(&path)).await;
        let seen = seen.expect(200);
        let there = seen["stripe"]["subscription"].as_str();
        there.unwrap_or("nowhere at Stripe").to_owned()
    }

    async fn customer_there(&self) -> String {
        let seen = self.world.service.get(&self.path("")).await.expect(200);
        seen["stripe"]["customer"].as_str().unwrap().to_owned()
    }

    /// Where the open invoice of a subscription is paid at Stripe.
    async fn open_there(&self, it: usize) -> Option<String> {
        let path = format!(
            "/v1/invoices?status=open&subscription={}",
            self.there(it).await
        );
        let list = self
            .world
            .at_dashboard(self.portal, Method::GET, &path, String::new())
            .await;
        let invoice = list["data"][0]["id"].as_str()?;
        Some(format!("/v1/invoices/{invoice}/pay"))
    }

    /// Asks, perhaps into a fault, perhaps to be cut off; hears what the reference says.
    async fn ask(&mut self, name: String, asked: Asked, heard: Heard, mark: &str) {
        let chance = self.dice.below(10);
        if matches!(chance, 1..=3) {
            self.faulted = true;
            let faults: Vec<&str> = FAULTS.into_iter().filter(|kind| *kind != SLOW).collect();
            let kind = faults[self.dice.below(faults.len())];
            let nth = 1 + u32::try_from(self.dice.below(2)).unwrap();
            self.world.fault(kind, mark, nth).await;
        }
        let cut = matches!(chance, 0 | 1);
        if cut {
            let cut = Cut {
                place: PLACES[self.dice.below(PLACES.len())],
                nth: 1 + u32::try_from(self.dice.below(2)).unwrap(),
            };
            cuts::arm(&self.id, cut);
        }
        let wait = if cut { 0 } else { 30 };
        let answer = self
            .world
            .ask(&self.world.service.base_url, &asked, wait)
            .await;
        match answer {
            Some(answer) if !cut && answer.status != 202 => self.hear(&name, &answer, heard),
            // Whatever it heard, it comes back for what stays.
            _ => {
                self.rests = true;
                self.cut_off = Some(CutOff { name, asked, heard });
            }
        }
    }

    fn hear(&mut self, name: &str, answer: &Answer, heard: Heard) {
        let status = answer.status.as_u16();
        let code = if answer.status.is_success() {
            String::new()
        } else {
            answer.code()
        };
        self.trace.push(format!("{name}: {status} {code}"));
        if (status, code.as_str()) != heard {
            self.wrong = Some(format!(
                "{name}: {heard:?} wanted, heard {status} {}",
                answer.text
            ));
            return;
        }
        if status != 201 {
            return;
        }
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        if id.starts_with("subn_") {
            self.subscriptions.push(id);
        } else {
            self.cards.last_mut().unwrap().1 = Some(id);
        }
    }

    /// Comes back for what was cut off.
    pub(super) async fn finish(&mut self) {
        cuts::disarm(&self.id);
        let Some(CutOff { name, asked, heard }) = self.cut_off.take() else {
            return;
        };
        let mut last = "nothing".to_owned();
        for _time in 0..COMES_BACK {
            let answer = self
                .world
                .ask(&self.world.service.base_url, &asked, 20)
                .await;
            let Some(answer) = answer else { continue };
            let done_before = asked.key.is_none() && answer.status == 404 && heard.0 == 204;
            match answer.status.as_u16() {
                202 => last = answer.text,
                409 if answer.code() == "idempotency_in_progress" => last = answer.text,
                _ if done_before => {
                    self.trace.push(format!("{name}: 204 "));
                    return;
                }
                _ => return self.hear(&name, &answer, heard),
            }
            a_moment().await;
        }
        self.wrong = Some(format!("{name}: no end: {last}"));
    }

    /// Compares what the service shows with the reference: its subscriptions, oldest first, and its cards.
    pub(super) async fn compare(&mut self, shown: &[&Value]) {
        if self.wrong.is_some() {
            return;
        }
        let seen: Vec<String> = shown.iter().map(|it| line_of(it)).collect();
        let wanted: Vec<String> = (0..self.own.subscriptions.len())
            .map(|it| self.line(it))
            .collect();
        self.trace.push(format!("{seen:?}"));
        if seen != wanted {
            self.wrong = Some(format!("{wanted:?} wanted, shown are {seen:?}"));
            return;
        }
        let cards = self
            .world
            .service
            .get(&self.path("/payment-methods?limit=100"))
            .await;
        let cards = cards.expect(200);
        let mut seen = Vec::new();
        for shown in cards["data"].as_array().unwrap() {
            let there = shown["stripe"]["payment_method"].as_str().unwrap();
            let card = self.cards.iter().position(|(id, _)| id == there);
            let card = card.unwrap_or(usize::MAX);
            if let Some(known) = self.cards.get_mut(card) {
                known.1 = shown["id"].as_str().map(str::to_owned);
            }
            seen.push((card, shown["default"] == true));
        }
        seen.sort_unstable();
        let wanted: Vec<(usize, bool)> = self
            .own
            .cards_left()
            .into_iter()
            .map(|card| (card, self.own.default == Some(card)))
            .collect();
        self.trace.push(format!("{seen:?}"));
        if seen != wanted {
            self.wrong = Some(format!("cards {wanted:?} wanted, shown are {seen:?}"));
        }
    }

    fn line(&self, it: usize) -> String {
        let own = &self.own.subscriptions[it];
        let ends = own.ends_with_period && self.own.live() == Some(it);
        let (plan, status) = (own.plan.name(), own.status.name());
        format!("{plan} {status} {} ends={ends}", self.own.access(it))
    }

    /// What there must be of this customer at Stripe, and what there is.
    pub(super) fn accounts(&self, stripe: &Value) -> Option<String> {
        let all = |kind: &str| stripe[kind].as_array().cloned().unwrap_or_default();
        let mine: Vec<Value> = all("customer")
            .into_iter()
            .filter(|it| it["metadata"]["portal_billing_customer"] == self.id.as_str())
            .collect();
        let there = mine.first().map_or(Value::Null, |it| it["id"].clone());
        let of = |kind: &str| -> Vec<Value> {
            let all = all(kind).into_iter();
            all.filter(|it| !there.is_null() && it["customer"] == there)
                .collect()
        };
        let mut statuses: Vec<String> = of("subscription")
            .iter()
            .map(|it| it["status"].as_str().unwrap().to_owned())
            .collect();
        statuses.sort();
        let charged: i64 = of("charge")
            .iter()
            .filter(|charge| charge["paid"] == true)
            .map(|charge| charge["amount"].as_i64().unwrap())
            .sum();
        let open = of("invoice")
            .iter()
            .filter(|it| it["status"] == "open")
            .count();
        let seen = (
            mine.len(),
            statuses,
            charged,
            of("payment_method").len(),
            open,
        );
        let at_stripe = self.own.subscriptions.iter().filter(|it| it.at_stripe);
        let mut statuses: Vec<String> = at_stripe.map(|it| it.status.name().to_owned()).collect();
        statuses.sort();
        let is_open = |own: &&super::reference::Invoice| matches!(own.state, State::Open(_));
        let wanted = (
            usize::from(self.own.at_stripe),
            statuses,
            self.own.charged,
            self.own.cards_left().len(),
            self.own.invoices.iter().filter(is_open).count(),
        );
        (seen != wanted).then(|| format!("at Stripe {wanted:?} wanted, there is {seen:?}"))
    }
}

/// A subscription as the service shows it.
fn line_of(shown: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let over = matches!(text(&shown["status"]).as_str(), "canceled" | "rejected");
    let ends = !shown["cancel_at"].is_null() && !over;
    format!(
        "{} {} {} ends={ends}",
        text(&shown["plan"]),
        text(&shown["status"]),
        text(&shown["access"]["decision"])
    )
}
