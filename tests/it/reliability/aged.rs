//! R8: work that was cut off and taken up hours or weeks later, when Stripe may have forgotten the
//! key it was sent with: there is exactly one object all the same.

use futures_util::future::join_all;

use super::cuts::{self, Cut};
use super::invariants::{self, Wanted};
use super::of_tier;
use super::score::Score;
use super::world::{Asked, Portal, World};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(work_taken_up_after_a_day_is_done_once);

const HOUR: i64 = 3_600;
/// The last is a month but for a day, so that no subscription is renewed meanwhile.
const AGES: [(&str, i64); 4] = [
    ("22h", 22 * HOUR),
    ("23h", 23 * HOUR),
    ("25h", 25 * HOUR),
    ("29d", 29 * 24 * HOUR),
];
/// Never sent; sent and not answered; answered and not stored.
const PLACES: [&str; 3] = ["sending", "answered", "settling"];

struct Aged {
    customer: String,
    asked: Asked,
}

async fn cut_off(world: &World, portal: &Portal, number: usize) -> Aged {
    let customer = world.customer(portal, &format!("aged-{number}")).await;
    let key = format!("aged-key-{number}");
    let aged = Aged {
        asked: world.saving(portal, &customer, &key).await,
        customer,
    };
    let cut = Cut {
        place: PLACES[number % PLACES.len()],
        nth: 1 + u32::try_from(number / PLACES.len() % 2).unwrap(),
    };
    cuts::arm(&aged.customer, cut);
    world.ask(&world.service.base_url, &aged.asked, 1).await;
    aged
}

async fn work_taken_up_after_a_day_is_done_once(engine: Database) {
    let each = of_tier(6, 50);
    let world = World::start(engine).await;
    let mut score = Score::new("R8", engine);
    for (name, seconds) in AGES {
        let portal = world.open_portal(&format!("aged-{name}")).await;
        let cut = join_all((0..each).map(|number| cut_off(&world, &portal, number))).await;
        world.pass(&portal, seconds).await;
        let rest = world.come_to_rest(std::slice::from_ref(&portal)).await;
        if let Err(wrong) = rest {
            score.violation(format!("{name}: {wrong}"));
        }
        for aged in cut {
            cuts::disarm(&aged.customer);
            let asked = world.ask(&world.service.base_url, &aged.asked, 20);
            let answer = world.in_time(asked).await.unwrap();
            if answer.status.as_u16() != 201 {
                let heard = format!("{} {}", answer.status, answer.text);
                score.violation(format!("{name}: {:?}: {heard}", aged.asked.key));
            }
        }
        let wanted = Wanted::customers(each);
        for wrong in invariants::check(&world, &portal, wanted).await {
            score.violation(format!("{name}: {wrong}"));
        }
        score.count(each);
    }
    score.close(4 * each);
}
