//! What a customer's life comes to, said once more and as simply as it can be: no Stripe, no crash, no
//! order of events. The service has to come to the same, whatever happens on the way.

const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;
/// Four weeks: a period of every plan, so that no calendar is needed.
pub(super) const PERIOD: i64 = 28 * DAY;
/// How long a renewal's invoice is a draft.
const DRAFT: i64 = HOUR;
/// The portal's grace, as it is unless said.
const GRACE: i64 = 3 * DAY;
/// Days from each failure to the next attempt; then the end follows.
pub(super) const RETRY_DAYS: [i64; 3] = [1, 2, 3];

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Free.
    Open,
    /// Free, when the portal says yes.
    Club,
    /// Paid.
    Gold,
    /// Paid, when the portal says yes.
    Board,
    /// Paid after a trial.
    Taste,
}

pub(super) const PLANS: [Plan; 5] = [Plan::Open, Plan::Club, Plan::Gold, Plan::Board, Plan::Taste];

impl Plan {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Club => "club",
            Self::Gold => "gold",
            Self::Board => "board",
            Self::Taste => "taste",
        }
    }

    /// What a period costs, in cents.
    pub(super) const fn price(self) -> Option<i64> {
        match self {
            Self::Open | Self::Club => None,
            Self::Gold => Some(1_500),
            Self::Board => Some(9_900),
            Self::Taste => Some(2_000),
        }
    }

    pub(super) const fn needs_approval(self) -> bool {
        matches!(self, Self::Club | Self::Board)
    }

    pub(super) const fn trial_days(self) -> Option<i64> {
        match self {
            Self::Taste => Some(14),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Trialing,
    Active,
    PastDue,
    Unpaid,
    Canceled,
    Rejected,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending_approval",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Canceled => "canceled",
            Self::Rejected => "rejected",
        }
    }

    const fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::Rejected)
    }

    const fn owes(self) -> bool {
        matches!(self, Self::PastDue | Self::Unpaid)
    }
}

/// A card that is or was a customer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    /// Whether it can be charged; all can be saved.
    pub(super) works: bool,
    pub(super) gone: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) plan: Plan,
    pub(super) status: Status,
    /// Whether it ever was at Stripe.
    pub(super) at_stripe: bool,
    /// When its period ends, if it has one.
    pub(super) period_end: i64,
    pub(super) ends_with_period: bool,
    /// The card it names; without, the customer's default pays.
    pub(super) card: Option<usize>,
    /// When the oldest payment that is missing was due.
    pub(super) unpaid_since: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is charged at this time.
    Draft(i64),
    /// Nobody will ever charge it.
    Asleep,
    /// It waits to be paid, and is tried again at this time.
    Open(Option<i64>),
    Closed,
}

#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) subscription: usize,
    pub(super) state: State,
    amount: i64,
    due: i64,
    attempts: usize,
}

/// What a caller hears: the status, and the code of a problem.
pub(super) type Heard = (u16, &'static str);

const OK: Heard = (200, "");
const MADE: Heard = (201, "");
const IN_USE: Heard = (409, "payment_method_in_use");
const NO_METHOD: Heard = (409, "payment_method_required");
const DECLINED: Heard = (402, "payment_declined");
const CONFLICT: Heard = (409, "subscription_state_conflict");

/// One customer, and all that is its.
#[derive(Clone, Debug)]
pub(super) struct Customer {
    /// In seconds.
    pub(super) now: i64,
    /// Whether the end after the last attempt is `unpaid`, not the end of the subscription.
    pub(super) ends_unpaid: bool,
    /// Whether Stripe knows it.
    pub(super) at_stripe: bool,
    pub(super) cards: Vec<Card>,
    pub(super) default: Option<usize>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) invoices: Vec<Invoice>,
    /// All that was ever charged, in cents.
    pub(super) charged: i64,
    had_trial: bool,
}

impl Customer {
    pub(super) fn new(now: i64, ends_unpaid: bool) -> Self {
        Self {
            now,
            ends_unpaid,
            at_stripe: false,
            cards: Vec::new(),
            default: None,
            subscriptions: Vec::new(),
            invoices: Vec::new(),
            charged: 0,
            had_trial: false,
        }
    }

    /// The subscription that lives; there is one at most.
    pub(super) fn live(&self) -> Option<usize> {
        let lives = |it: &Subscription| !it.status.is_over();
        self.subscriptions.iter().position(lives)
    }

    /// The invoice that waits to be paid; there is one at most of a subscription that lives.
    pub(super) fn open_invoice(&self) -> Option<usize> {
        let open = |it: &Invoice| matches!(it.state, State::Open(_));
        self.invoices.iter().rposition(open)
    }

    pub(super) fn cards_left(&self) -> Vec<usize> {
        (0..self.cards.len())
            .filter(|card| !self.cards[*card].gone)
            .collect()
    }

    /// Whether a live paid subscription would have nothing to be paid with but for this card.
    fn relies_on(&self, card: Option<usize>) -> bool {
        let is_default = card.is_none() || self.default == card;
        self.live().is_some_and(|live| {
            let it = &self.subscriptions[live];
            it.plan.price().is_some() && it.card.map_or(is_default, |named| Some(named) == card)
        })
    }

    pub(super) fn save(&mut self, works: bool, default: bool) -> Heard {
        self.at_stripe = true;
        self.cards.push(Card { works, gone: false });
        if default {
            self.default = Some(self.cards.len() - 1);
        }
        MADE
    }

    pub(super) fn detach(&mut self, card: usize) -> Heard {
        if self.cards[card].gone {
            return (404, "not_found");
        }
        if self.relies_on(Some(card)) {
            return IN_USE;
        }
        self.cards[card].gone = true;
        if self.default == Some(card) {
            self.default = None;
        }
        (204, "")
    }

    pub(super) fn set_default(&mut self, card: Option<usize>) -> Heard {
        if self.default == card {
            return OK;
        }
        match card {
            None if self.relies_on(None) => return IN_USE,
            Some(card) if self.cards[card].gone => return (409, "payment_method_unusable"),
            _ => {}
        }
        self.default = card;
        OK
    }

    pub(super) fn subscribe(&mut self, plan: Plan, trial: bool) -> Heard {
        if self.live().is_some() {
            return (409, "subscription_exists");
        }
        let mut asked = Subscription {
            plan,
            status: Status::Active,
            at_stripe: false,
            period_end: i64::MAX,
            ends_with_period: false,
            card: None,
            unpaid_since: None,
        };
        if plan.needs_approval() {
            asked.status = Status::Pending;
        } else if plan.price().is_some() {
            let heard = self.begin(&mut asked, trial);
            if heard != OK {
                return heard;
            }
        }
        self.subscriptions.push(asked);
        MADE
    }

    /// Brings a paid subscription to Stripe.
    fn begin(&mut self, asked: &mut Subscription, trial: bool) -> Heard {
        let trial = asked.plan.trial_days().filter(|_| trial);
        if trial.is_some() && self.had_trial {
            return (409, "trial_used");
        }
        let named = match (self.default, self.cards_left().last()) {
            (Some(_), _) => None,
            (None, Some(last)) => Some(*last),
            (None, None) => return NO_METHOD,
        };
        if let Some(days) = trial {
            self.had_trial = true;
            asked.status = Status::Trialing;
            asked.period_end = self.now + days * DAY;
        } else {
            if !self.pays(named) {
                return DECLINED;
            }
            self.charged += asked.plan.price().unwrap();
            asked.status = Status::Active;
            asked.period_end = self.now + PERIOD;
        }
        asked.card = named;
        asked.at_stripe = true;
        OK
    }

    /// Whether what is paid with works.
    fn pays(&self, named: Option<usize>) -> bool {
        named.or(self.default).is_some_and(|card| {
            let card = self.cards[card];
            card.works && !card.gone
        })
    }

    pub(super) fn approve(&mut self, it: usize) -> Heard {
        if self.subscriptions[it].status != Status::Pending {
            return CONFLICT;
        }
        let mut approved = self.subscriptions[it].clone();
        approved.status = Status::Active;
        if approved.plan.price().is_some() {
            let heard = self.begin(&mut approved, true);
            if heard != OK {
                return heard;
            }
        }
        self.subscriptions[it] = approved;
        OK
    }

    pub(super) fn reject(&mut self, it: usize) -> Heard {
        if self.subscriptions[it].status != Status::Pending {
            return CONFLICT;
        }
        self.subscriptions[it].status = Status::Rejected;
        OK
    }

    pub(super) fn cancel_now(&mut self, it: usize) -> Heard {
        if self.subscriptions[it].status.is_over() {
            return CONFLICT;
        }
        self.end(it);
        // What is open when somebody says that it is over is not owed any more.
        let all = self.invoices.iter_mut();
        for own in all.filter(|own| own.subscription == it && matches!(own.state, State::Open(_))) {
            own.state = State::Closed;
        }
        OK
    }

    pub(super) fn cancel_with_period(&mut self, it: usize) -> Heard {
        let own = &mut self.subscriptions[it];
        match own.status {
            Status::Canceled | Status::Rejected => CONFLICT,
            _ if own.plan.price().is_none() => (422, "validation_failed"),
            Status::Pending => CONFLICT,
            _ => {
                own.ends_with_period = true;
                OK
            }
        }
    }

    pub(super) fn undo_cancel(&mut self, it: usize) -> Heard {
        let own = &mut self.subscriptions[it];
        if own.status.is_over() || !own.ends_with_period {
            return CONFLICT;
        }
        own.ends_with_period = false;
        OK
    }

    /// Somebody pays an open invoice with this card, or with what it would be charged to.
    pub(super) fn pay(&mut self, invoice: usize, card: Option<usize>) -> Heard {
        let own = self.subscriptions[self.invoices[invoice].subscription].card;
        let card = card.or(own);
        if card.or(self.default).is_none() {
            return NO_METHOD;
        }
        if !self.pays(card) {
            return DECLINED;
        }
        self.charged += self.invoices[invoice].amount;
        self.settle(invoice);
        OK
    }

    pub(super) fn void(&mut self, invoice: usize) -> Heard {
        self.settle(invoice);
        OK
    }

    /// An open invoice is paid, here or elsewhere, or void.
    pub(super) fn settle(&mut self, invoice: usize) {
        self.invoices[invoice].state = State::Closed;
        let it = self.invoices[invoice].subscription;
        let still = |own: &Invoice| own.subscription == it && matches!(own.state, State::Open(_));
        if self.subscriptions[it].status.owes() && !self.invoices.iter().any(still) {
            self.subscriptions[it].status = Status::Active;
            self.subscriptions[it].unpaid_since = None;
        }
    }

    /// It ends, and nothing of it is charged by itself any more.
    pub(super) fn end(&mut self, it: usize) {
        self.subscriptions[it].status = Status::Canceled;
        self.subscriptions[it].unpaid_since = None;
        for own in self
            .invoices
            .iter_mut()
            .filter(|own| own.subscription == it)
        {
            own.state = match own.state {
                State::Draft(_) => State::Asleep,
                State::Open(_) => State::Open(None),
                other => other,
            };
        }
    }

    /// Time passes.
    pub(super) fn advance(&mut self, to: i64) {
        while let Some((at, what)) = self.next() {
            if at > to {
                break;
            }
            self.now = at;
            match what {
                Next::Period(it) => self.renew(it),
                Next::Charge(invoice) => self.charge(invoice),
            }
        }
        self.now = to;
    }

    fn next(&self) -> Option<(i64, Next)> {
        let periods = self
            .subscriptions
            .iter()
            .enumerate()
            .filter_map(|(it, own)| {
                let runs = own.at_stripe && !own.status.is_over();
                runs.then_some((own.period_end, Next::Period(it)))
            });
        let charges = self.invoices.iter().enumerate().filter_map(|(it, own)| {
            let (State::Draft(at) | State::Open(Some(at))) = own.state else {
                return None;
            };
            Some((at, Next::Charge(it)))
        });
        periods.chain(charges).min_by_key(|(at, _)| *at)
    }

    fn renew(&mut self, it: usize) {
        let own = &mut self.subscriptions[it];
        if own.ends_with_period {
            self.end(it);
            return;
        }
        let due = own.period_end;
        own.period_end += PERIOD;
        let state = match own.status {
            Status::Unpaid => State::Asleep,
            _ => State::Draft(due + DRAFT),
        };
        if own.status == Status::Trialing {
            own.status = Status::Active;
        }
        self.invoices.push(Invoice {
            subscription: it,
            state,
            amount: own.plan.price().unwrap(),
            due,
            attempts: 0,
        });
    }

    fn charge(&mut self, invoice: usize) {
        let it = self.invoices[invoice].subscription;
        if self.pays(self.subscriptions[it].card) {
            self.charged += self.invoices[invoice].amount;
            self.settle(invoice);
            return;
        }
        let failed = &mut self.invoices[invoice];
        let retry = RETRY_DAYS
            .get(failed.attempts)
            .map(|days| self.now + days * DAY);
        failed.attempts += 1;
        failed.state = State::Open(retry);
        let own = &mut self.subscriptions[it];
        own.status = Status::PastDue;
        own.unpaid_since = own.unpaid_since.or(Some(failed.due));
        if retry.is_none() && self.ends_unpaid {
            own.status = Status::Unpaid;
        } else if retry.is_none() {
            self.end(it);
        }
    }

    /// Whether the API may be used now.
    pub(super) fn access(&self, it: usize) -> &'static str {
        let own = &self.subscriptions[it];
        match own.status {
            Status::Active | Status::Trialing => "allow",
            Status::PastDue if own.unpaid_since.is_some_and(|at| self.now < at + GRACE) => "grace",
            _ => "deny",
        }
    }
}

/// What happens by itself.
enum Next {
    Period(usize),
    Charge(usize),
}

/// A renewal that fails is tried three times, access ends before that, and a payment brings it back.
#[test]
fn the_reference_knows_dunning() {
    let mut own = Customer::new(0, false);
    assert_eq!(own.subscribe(Plan::Gold, true), NO_METHOD);
    own.save(true, true);
    assert_eq!(own.subscribe(Plan::Gold, true), MADE);
    assert_eq!(own.detach(0), IN_USE);
    own.save(false, true);
    own.advance(PERIOD);
    assert_eq!(
        (own.subscriptions[0].status, own.charged),
        (Status::Active, 1_500)
    );
    own.advance(PERIOD + 2 * HOUR);
    assert_eq!(
        (own.subscriptions[0].status, own.access(0)),
        (Status::PastDue, "grace")
    );
    own.advance(PERIOD + 3 * DAY);
    assert_eq!(own.access(0), "deny");
    let mut paid = own.clone();
    assert_eq!(paid.pay(0, None), DECLINED);
    assert_eq!(paid.pay(0, Some(0)), OK);
    assert_eq!((paid.access(0), paid.charged), ("allow", 3_000));
    own.advance(PERIOD + 7 * DAY);
    assert_eq!(
        (own.subscriptions[0].status, own.charged),
        (Status::Canceled, 1_500)
    );
    assert!(matches!(own.invoices[0].state, State::Open(None)));
}

/// What an unpaid life owes, the drafts of its further periods on top, is not owed any more when it is ended.
#[test]
fn the_reference_knows_what_an_end_makes_void() {
    let mut own = Customer::new(0, true);
    own.save(false, true);
    assert_eq!(own.subscribe(Plan::Taste, true), MADE);
    own.advance(3 * PERIOD);
    assert_eq!(own.subscriptions[0].status, Status::Unpaid);
    assert_eq!(own.open_invoice(), Some(0));
    assert!(matches!(own.invoices[1].state, State::Asleep));
    assert_eq!(own.cancel_now(0), OK);
    assert_eq!(own.open_invoice(), None);
}
