//! Decisions on topics, with few rules and with many, against the same rules asked one by one.

mod policies;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use ticketgate::acl::decide::{Publish, Ruling, Subscription};
use ticketgate::acl::rule::Acl;
use ticketgate::acl::template::Subject;
use ticketgate::mqtt::filter_algebra::Dollar;
use ticketgate::mqtt::request::TopicNames;
use ticketgate::mqtt::topic::{TopicFilter, TopicName};
use ticketgate::names::claims::Claims;
use ticketgate::names::organization_id::OrganizationId;

use crate::acl::policies::{Asked, CLIENT, Case, LOCAL_NAME};
use crate::report::Finding;
use crate::statistics::Spread;

/// How much is measured.
#[derive(Args)]
pub struct Plan {
    /// How many rules a policy has
    #[arg(long, default_value = "10,100,1000,10000", value_delimiter = ',')]
    rules: Vec<usize>,
    /// How often each variant has its turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long a turn takes, in milliseconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    turn: u64,
}

/// One kind of policy of one size.
#[derive(Serialize)]
struct Row {
    case: &'static str,
    rules: usize,
    /// Nanoseconds a decision, with the policy as it is.
    ours: Spread,
    /// The same, rule by rule.
    linear: Spread,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let mut rows = Vec::new();
    for case in Case::ALL {
        eprintln!("acl: {}", case.name());
        for rules in &plan.rules {
            rows.push(Row::measure(plan, case, *rules)?);
        }
    }
    Finding::new("acl", markdown(plan, &rows), &rows)
}

impl Row {
    fn measure(plan: &Plan, case: Case, count: usize) -> anyhow::Result<Self> {
        let rules = case.rules(count);
        ensure!(
            rules.len() == count,
            "{}: {} rules",
            case.name(),
            rules.len()
        );
        let (ours, linear) = (Acl::new(rules.clone()), Acl::linear(rules));
        let asked = case.asked(count);
        for (number, one) in asked.iter().enumerate() {
            let (got, expected) = (decide(&ours, one), decide(&linear, one));
            ensure!(
                got == expected,
                "{} {number}: {got:?}, not {expected:?}",
                case.name()
            );
        }
        let turn = Duration::from_millis(plan.turn);
        let (mut of_ours, mut of_linear) = (Vec::new(), Vec::new());
        for round in 0..=plan.rounds {
            let one = nanoseconds(&ours, &asked, turn);
            let other = nanoseconds(&linear, &asked, turn);
            // The first warms up.
            if round > 0 {
                of_ours.push(one);
                of_linear.push(other);
            }
        }
        Ok(Self {
            case: case.name(),
            rules: count,
            ours: Spread::of(of_ours.into_iter()),
            linear: Spread::of(of_linear.into_iter()),
        })
    }
}

/// Nanoseconds a decision, asked in turn for at least so long.
fn nanoseconds(acl: &Acl, asked: &[Asked], turn: Duration) -> f64 {
    let began = Instant::now();
    let mut decisions = 0_u32;
    loop {
        for one in asked {
            black_box(decide(acl, black_box(one)));
        }
        decisions += asked.len() as u32;
        let elapsed = began.elapsed();
        if elapsed >= turn {
            return elapsed.as_nanos() as f64 / f64::from(decisions);
        }
    }
}

fn decide(acl: &Acl, asked: &Asked) -> Ruling {
    let subject = Subject {
        local_name: LOCAL_NAME,
        organization: organization(),
        client_id: CLIENT,
        claims: claims(),
    };
    let (names, dollar) = (TopicNames::Exact, Dollar::Special);
    match asked {
        Asked::Publish(topic) => {
            let topic = TopicName::parse(topic.as_str()).expect("a topic of ours");
            let request = Publish {
                topic: &topic,
                qos: None,
                retain: None,
                names,
                dollar,
            };
            acl.publish(&subject, request)
        }
        Asked::Subscribe(filter) => {
            let filter = TopicFilter::parse(filter.as_str()).expect("a filter of ours");
            let rules = acl.for_subscribing(&subject, names, dollar);
            rules.decide(Subscription {
                filter: &filter,
                qos: None,
            })
        }
    }
}

fn organization() -> &'static OrganizationId {
    static ORGANIZATION: LazyLock<OrganizationId> = LazyLock::new(OrganizationId::random);
    &ORGANIZATION
}

fn claims() -> &'static Claims {
    static CLAIMS: LazyLock<Claims> = LazyLock::new(|| {
        let mut claims = Claims::default();
        claims.insert("email", "user@example.com");
        claims
    });
    &CLAIMS
}

fn markdown(plan: &Plan, rows: &[Row]) -> String {
    let mut text = format!(
        "Nanoseconds a decision, the check of the topic included; {} rounds of {} ms for each, one \
         core. \"Rule by rule\" is the same decision without an index.\n\n\
         | policy and question | rules | ns | to the smallest | rule by rule, ns | to rule by rule |\n\
         |---|---|---|---|---|---|\n",
        plan.rounds, plan.turn
    );
    for row in rows {
        let smallest = rows.iter().find(|one| one.case == row.case);
        let smallest = smallest.map_or(f64::NAN, |one| one.ours.median);
        text += &format!(
            "| {} | {} | **{:.0}** | {:.2} | {:.0} | {:.4} |\n",
            row.case,
            row.rules,
            row.ours,
            row.ours.median / smallest,
            row.linear,
            row.ours.median / row.linear.median,
        );
    }
    text
}
