//! What answers about access are made from, kept between questions: a gateway asks at each of its own
//! requests, and most of the time nothing has changed.
//!
//! Nothing is believed that has not just been looked after. A look asks, by one query, how far the feeds
//! of the portals have come whose grounds are kept. Each change of a subscription publishes an event in
//! its own transaction, so a feed that has not moved tells that nothing has changed, and one that has
//! names the organizations whose grounds are forgotten. An answer is given from what is kept only when a
//! look began less than `stale_ms` ago, and after the last commit of this process: changes made here
//! count at once, those of other replicas within that time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::AccessTo;
use crate::domain::access::Rules;
use crate::domain::slug::Slug;
use crate::domain::subscription::Status;
use crate::store::access::{self, Feed, Grounds};
use crate::store::{Conn, StoreError, feed};

/// Grounds that are kept, each of some hundred bytes.
const KEPT_MAX: usize = 16_384;
/// Events of one portal behind which a look does not go: then everything of the portal is forgotten.
const EVENTS_MAX: i64 = 1_000;

/// How far a portal was looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    position: i64,
    rules: Rules,
}

/// What is kept of one portal.
#[derive(Default)]
struct Page {
    /// `None` until the first look.
    mark: Option<Mark>,
    grounds: HashMap<AccessTo, Arc<Grounds>>,
    /// What was asked about each organization, by its external id.
    asked: HashMap<String, Vec<AccessTo>>,
}

impl Page {
    fn clear(&mut self) {
        self.grounds.clear();
        self.asked.clear();
    }

    fn forget(&mut self, organization: &str) {
        for asked in self.asked.remove(organization).unwrap_or_default() {
            self.grounds.remove(&asked);
        }
    }
}

/// When was looked last.
#[derive(Clone, Copy)]
struct Look {
    began: Instant,
    /// Commits of this process before it.
    commits: u64,
}

#[derive(Default)]
struct Pages {
    all: HashMap<Slug, Page>,
    kept: usize,
    look: Option<Look>,
}

/// What a look has found of one portal.
enum News {
    /// It is gone.
    Gone,
    /// So many things have changed, or such, that nothing is kept.
    Everything(Mark),
    /// Of these organizations something has changed.
    Of(Mark, Vec<String>),
}

/// What the book says to a question.
pub(super) enum Told {
    /// What it has kept, and that is so.
    Grounds(Arc<Grounds>),
    /// Nothing; what is read now may be kept under this mark.
    Nothing(Option<Mark>),
    /// Nothing before it was looked again.
    Stale,
}

/// The grounds of late.
pub(in crate::app) struct Book {
    stale: Duration,
    pages: Mutex<Pages>,
    /// Held while looking.
    turn: tokio::sync::Mutex<()>,
}

impl Book {
    pub(in crate::app) fn new(stale_ms: u32) -> Self {
        Self {
            stale: Duration::from_millis(stale_ms.into()),
            pages: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// What is known, `commits` being those of this process until now.
    pub(super) fn ask(&self, portal: &Slug, asked: &AccessTo, commits: u64) -> Told {
        if self.stale.is_zero() {
            return Told::Nothing(None);
        }
        let pages = self.lock();
        let Some(page) = pages.all.get(portal) else {
            return Told::Nothing(None);
        };
        let Some(mark) = page.mark.filter(|_| self.is_fresh(&pages, commits)) else {
            return Told::Stale;
        };
        match page.grounds.get(asked) {
            Some(grounds) => Told::Grounds(Arc::clone(grounds)),
            None => Told::Nothing(Some(mark)),
        }
    }

    fn is_fresh(&self, pages: &Pages, commits: u64) -> bool {
        pages
            .look
            .is_some_and(|look| look.commits == commits && look.began.elapsed() < self.stale)
    }

    /// Keeps what was read after the book was asked and had `mark`, unless something has changed since.
    pub(super) fn keep(
        &self,
        portal: &Slug,
        asked: &AccessTo,
        grounds: &Grounds,
        mark: Option<Mark>,
    ) {
        let live = grounds
            .subscription
            .as_ref()
            .is_some_and(|held| is_told_of(held.facts.status));
        if self.stale.is_zero() || !live {
            return;
        }
        let mut pages = self.lock();
        if pages.kept >= KEPT_MAX {
            // Whoever is still asked about is read again.
            pages.all.values_mut().for_each(Page::clear);
            pages.kept = 0;
        }
        let page = pages.all.entry(portal.clone()).or_default();
        if mark.is_none() || page.mark != mark {
            return;
        }
        let others = page.asked.entry(grounds.external_id.clone()).or_default();
        others.push(asked.clone());
        page.grounds
            .insert(asked.clone(), Arc::new(grounds.clone()));
        pages.kept += 1;
    }

    /// Looks what has changed, unless somebody else just has.
    ///
    /// # Errors
    /// What the database answers.
    pub(super) async fn look(&self, store: &crate::store::Store) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let look = Look {
            began: Instant::now(),
            commits: store.commits(),
        };
        let marks: Vec<(Slug, Option<Mark>)> = {
            let pages = self.lock();
            let marked = pages.all.values().all(|page| page.mark.is_some());
            if marked && self.is_fresh(&pages, look.commits) {
                return Ok(());
            }
            let marks = pages.all.iter();
            marks
                .map(|(portal, page)| (portal.clone(), page.mark))
                .collect()
        };
        let news = store
            .read(async |conn| news_since(conn, &marks).await)
            .await?;
        let mut pages = self.lock();
        for (portal, news) in news {
            let Some(page) = pages.all.get_mut(&portal) else {
                continue;
            };
            match news {
                News::Gone => {
                    pages.all.remove(&portal);
                }
                News::Everything(mark) => {
                    page.clear();
                    page.mark = Some(mark);
                }
                News::Of(mark, organizations) => {
                    for organization in organizations {
                        page.forget(&organization);
                    }
                    page.mark = Some(mark);
                }
            }
        }
        pages.kept = pages.all.values().map(|page| page.grounds.len()).sum();
        pages.look = Some(look);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether whatever happens to a subscription in this status is published: not before it is at Stripe,
/// and what has ended may be followed by another one.
const fn is_told_of(status: Status) -> bool {
    !status.is_final() && !matches!(status, Status::Provisioning)
}

async fn news_since(
    conn: &mut Conn,
    marks: &[(Slug, Option<Mark>)],
) -> Result<Vec<(Slug, News)>, StoreError> {
    let names: Vec<&str> = marks.iter().map(|(portal, _)| portal.as_str()).collect();
    let feeds: HashMap<String, Feed> = access::feeds(conn, &names)
        .await?
        .into_iter()
        .map(|feed| (feed.portal.clone(), feed))
        .collect();
    let mut all = Vec::with_capacity(marks.len());
    for (portal, mark) in marks {
        let Some(feed) = feeds.get(portal.as_str()) else {
            all.push((portal.clone(), News::Gone));
            continue;
        };
        let now = Mark {
            position: feed.position,
            rules: feed.rules,
        };
        let news = match mark {
            Some(mark) if mark.rules == now.rules && mark.position <= now.position => {
                changed(conn, portal, (mark.position, now)).await?
            }
            _ => News::Everything(now),
        };
        all.push((portal.clone(), news));
    }
    Ok(all)
}

/// Who is concerned by what was published behind the place `after`.
async fn changed(
    conn: &mut Conn,
    portal: &Slug,
    (after, now): (i64, Mark),
) -> Result<News, StoreError> {
    if after == now.position {
        return Ok(News::Of(now, Vec::new()));
    }
    if now.position - after > EVENTS_MAX {
        return Ok(News::Everything(now));
    }
    let concerned = feed::organizations(conn, portal, (after, now.position)).await?;
    // What concerns nobody in particular may concern everybody.
    let concerned: Option<Vec<String>> = concerned.into_iter().collect();
    Ok(concerned.map_or(News::Everything(now), |all| News::Of(now, all)))
}
