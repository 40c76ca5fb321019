//! A load, as an agent is told of it.

use nepho_common::{
    load::CONNECTIONS_MAX,
    plan::{
        Arrivals, Call, Carried, Feed, Leg, Load, Model, Pool, Rate, Rise, Schedule, Share, Stripe,
        Take, Target, ToldBy,
    },
    time::Nanos,
};

use super::{
    check::{headers, wire_headers},
    field::{at_most, list, mark, name, names, span, text, within_range},
};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::TARGETS_MAX,
    wire,
};

/// The largest weight of a call: finer than this nobody can tell from what was sent.
const WEIGHT_MAX: u32 = 1_000_000;

/// The most that an answer gives.
const TAKES_MAX: usize = 20;

type L = Load<Target>;

impl TryFrom<wire::Load> for L {
    type Error = BadMessage;

    fn try_from(wire: wire::Load) -> Result<Self, BadMessage> {
        let bodies: usize = wire.calls.iter().map(|call| call.body.len()).sum();
        at_most("calls", bodies, Self::BODIES_MAX)?;
        let rows = wire.feeds.iter().flat_map(|feed| &feed.row);
        let fed: usize = rows.flat_map(|row| &row.value).map(String::len).sum();
        at_most("feeds", fed, Self::BODIES_MAX)?;
        Ok(Self {
            model: model(wire.model.ok_or(Wrong::Missing).within("model")?)?,
            timeout: span("timeout", wire.timeout)?,
            warm_up: span("warm_up", wire.warm_up)?,
            calls: list("calls", wire.calls, Self::CALLS_MAX)?,
            told_by: wire
                .told_by
                .map(TryInto::try_into)
                .transpose()
                .within("told_by")?,
            feeds: list("feeds", wire.feeds, Self::FEEDS_MAX)?,
            carried: wire
                .carried
                .map_or_else(|| Ok(Carried::default()), TryInto::try_into)
                .within("carried")?,
            seed: wire.seed,
            shares: list("shares", wire.shares, Self::SHARES_MAX)?,
            to: list("to", wire.to, TARGETS_MAX)?,
        })
    }
}

impl From<&L> for wire::Load {
    fn from(load: &L) -> Self {
        Self {
            model: Some((&load.model).into()),
            timeout: load.timeout.0,
            warm_up: load.warm_up.0,
            calls: load.calls.iter().map(Into::into).collect(),
            shares: load.shares.iter().map(Into::into).collect(),
            told_by: load.told_by.as_ref().map(Into::into),
            feeds: load.feeds.iter().map(Into::into).collect(),
            carried: (!load.carried.is_default()).then(|| load.carried.into()),
            seed: load.seed,
            to: load.to.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::Carried> for Carried {
    type Error = BadMessage;

    fn try_from(wire: wire::Carried) -> Result<Self, BadMessage> {
        let pool = wire::Pool::try_from(wire.pool);
        let pool = pool.map_err(|_| Wrong::Unknown(wire.pool.into()));
        Ok(Self {
            http2: wire.http2,
            pool: match pool.within("pool")? {
                wire::Pool::Unspecified => Pool::Shared,
                wire::Pool::PerUser => Pool::PerUser,
                wire::Pool::New => Pool::New,
            },
            requests_per_connection: wire.requests_per_connection,
            pin: wire.pin,
            spin: span("spin", wire.spin)?,
        })
    }
}

impl From<Carried> for wire::Carried {
    fn from(carried: Carried) -> Self {
        let pool = match carried.pool {
            Pool::Shared => wire::Pool::Unspecified,
            Pool::PerUser => wire::Pool::PerUser,
            Pool::New => wire::Pool::New,
        };
        Self {
            http2: carried.http2,
            pool: pool.into(),
            requests_per_connection: carried.requests_per_connection,
            pin: carried.pin,
            spin: carried.spin.0,
        }
    }
}

impl TryFrom<wire::ToldBy> for ToldBy {
    type Error = BadMessage;

    fn try_from(wire: wire::ToldBy) -> Result<Self, BadMessage> {
        use wire::told_by::What;

        match wire.what.ok_or(Wrong::Missing)? {
            What::Header(header) => Ok(Self::Header(name("header", header)?)),
            What::Json(path) => Ok(Self::Json(name("json", path)?)),
            What::Address(set) => mark("address", set).map(|()| Self::Address),
        }
    }
}

impl From<&ToldBy> for wire::ToldBy {
    fn from(told_by: &ToldBy) -> Self {
        use wire::told_by::What;

        let what = match told_by {
            ToldBy::Header(name) => What::Header(name.to_string()),
            ToldBy::Json(path) => What::Json(path.to_string()),
            ToldBy::Address => What::Address(true),
        };
        Self { what: Some(what) }
    }
}

fn model(wire: wire::load::Model) -> Result<Model, BadMessage> {
    use wire::{load::Model as Wire, open_model::Schedule as Due};

    let open = match wire {
        Wire::Closed(closed) => {
            let think = span("closed.think", closed.think)?;
            let rise = closed
                .rise
                .map(|rise| Rise::new(rise.from, rise.to, rise.count));
            let rise = rise.transpose().within("closed.rise")?;
            return Ok(Model::Closed { think, rise });
        }
        Wire::Open(open) => open,
    };
    let schedule = match open
        .schedule
        .ok_or(Wrong::Missing)
        .within("open.schedule")?
    {
        Due::Legs(wire::Legs {
            arrivals,
            leg: legs,
        }) => {
            at_most("open.legs", legs.len(), Schedule::LEGS_MAX)?;
            let arrivals = wire::Arrivals::try_from(arrivals)
                .map_err(|_| Wrong::Unknown(arrivals.into()))
                .and_then(Arrivals::try_from)
                .within("open.legs.arrivals")?;
            let leg = |leg: wire::Leg| Leg {
                from: Rate(leg.from),
                to: Rate(leg.to),
                lasts: Nanos(leg.lasts),
            };
            Schedule::legs(arrivals, legs.into_iter().map(leg).collect())
        }
        Due::Instants(wire::Instants { at }) => {
            at_most("open.instants", at.len(), Schedule::LIST_MAX)?;
            Schedule::list(at.into_iter().map(Nanos).collect())
        }
    };
    Ok(Model::Open {
        schedule: schedule.within("open.schedule")?,
        seed: open.seed,
    })
}

impl From<&Model> for wire::load::Model {
    fn from(model: &Model) -> Self {
        use wire::open_model::Schedule as Due;

        let (schedule, seed) = match model {
            Model::Closed { think, rise } => {
                let rise = rise.map(|rise| wire::Rise {
                    from: rise.from(),
                    to: rise.to(),
                    count: rise.count(),
                });
                let think = think.0;
                return Self::Closed(wire::ClosedModel { think, rise });
            }
            Model::Open { schedule, seed } => (schedule, *seed),
        };
        let schedule = match schedule {
            Schedule::Legs { arrivals, legs } => {
                let leg = |leg: &Leg| wire::Leg {
                    from: leg.from.0,
                    to: leg.to.0,
                    lasts: leg.lasts.0,
                };
                Due::Legs(wire::Legs {
                    arrivals: wire::Arrivals::from(*arrivals).into(),
                    leg: legs.iter().map(leg).collect(),
                })
            }
            Schedule::List(instants) => Due::Instants(wire::Instants {
                at: instants.iter().map(|at| at.0).collect(),
            }),
        };
        Self::Open(wire::OpenModel {
            schedule: Some(schedule),
            seed,
        })
    }
}

impl TryFrom<wire::Arrivals> for Arrivals {
    type Error = Wrong;

    fn try_from(wire: wire::Arrivals) -> Result<Self, Wrong> {
        match wire {
            wire::Arrivals::Unspecified => Err(Wrong::Unknown(0)),
            wire::Arrivals::Poisson => Ok(Self::Poisson),
            wire::Arrivals::Constant => Ok(Self::Constant),
        }
    }
}

impl From<Arrivals> for wire::Arrivals {
    fn from(arrivals: Arrivals) -> Self {
        match arrivals {
            Arrivals::Poisson => Self::Poisson,
            Arrivals::Constant => Self::Constant,
        }
    }
}

impl TryFrom<wire::Call> for Call {
    type Error = BadMessage;

    fn try_from(wire: wire::Call) -> Result<Self, BadMessage> {
        let least = i128::from(!wire.follows);
        let most = if wire.follows { 0 } else { WEIGHT_MAX };
        within_range("weight", wire.weight.into(), least, most.into())?;
        Ok(Self {
            operation: name("operation", wire.operation)?,
            weight: wire.weight,
            body: wire.body,
            is_template: wire.is_template,
            path: text("path", wire.path)?,
            is_json: wire.is_json,
            follows: wire.follows,
            take: list("take", wire.take, TAKES_MAX)?,
            headers: headers("headers", wire.headers)?,
        })
    }
}

impl From<&Call> for wire::Call {
    fn from(call: &Call) -> Self {
        Self {
            operation: call.operation.to_string(),
            weight: call.weight,
            body: call.body.clone(),
            is_template: call.is_template,
            path: call.path.clone(),
            is_json: call.is_json,
            follows: call.follows,
            take: call.take.iter().map(Into::into).collect(),
            headers: wire_headers(&call.headers),
        }
    }
}

impl TryFrom<wire::Take> for Take {
    type Error = BadMessage;

    fn try_from(wire: wire::Take) -> Result<Self, BadMessage> {
        let from = wire.from.ok_or(Wrong::Missing).within("from")?;
        Ok(Self {
            name: name("name", wire.name)?,
            from: from.try_into().within("from")?,
        })
    }
}

impl From<&Take> for wire::Take {
    fn from(take: &Take) -> Self {
        Self {
            name: take.name.to_string(),
            from: Some((&take.from).into()),
        }
    }
}

impl TryFrom<wire::Feed> for Feed {
    type Error = BadMessage;

    fn try_from(wire: wire::Feed) -> Result<Self, BadMessage> {
        at_most("row", wire.row.len(), L::ROWS_MAX)?;
        let columns: Vec<_> = names("column", wire.column, L::COLUMNS_MAX)?;
        let rows: Vec<_> = wire.row.into_iter().map(|row| row.value).collect();
        if columns.is_empty() || rows.is_empty() {
            return Err(Wrong::Missing).within("row");
        }
        if rows.iter().any(|row| row.len() != columns.len()) {
            return Err(Wrong::Columns).within("row");
        }
        Ok(Self {
            name: name("name", wire.name)?,
            is_drawn: wire.is_drawn,
            columns,
            rows,
        })
    }
}

impl From<&Feed> for wire::Feed {
    fn from(feed: &Feed) -> Self {
        let row = |row: &Vec<String>| wire::Row { value: row.clone() };
        Self {
            name: feed.name.to_string(),
            is_drawn: feed.is_drawn,
            column: feed.columns.iter().map(ToString::to_string).collect(),
            row: feed.rows.iter().map(row).collect(),
        }
    }
}

impl TryFrom<wire::Share> for Share {
    type Error = BadMessage;

    fn try_from(wire: wire::Share) -> Result<Self, BadMessage> {
        let most = CONNECTIONS_MAX.into();
        within_range("connections", wire.connections.into(), 1, most)?;
        let most = wire.connections.min(L::LANES_MAX).into();
        within_range("lanes", wire.lanes.into(), 1, most)?;
        within_range("reference", wire.reference.into(), 0, Rate::MAX.0.into())?;
        Ok(Self {
            agent: name("agent", wire.agent)?,
            to: name("to", wire.to)?,
            stripe: Stripe::new(wire.stripe, wire.stripes).within("stripe")?,
            connections: wire.connections,
            lanes: wire.lanes,
            in_flight_max: wire.in_flight_max,
            reference: (wire.reference > 0).then_some(Rate(wire.reference)),
        })
    }
}

impl From<&Share> for wire::Share {
    fn from(share: &Share) -> Self {
        Self {
            to: share.to.to_string(),
            stripe: share.stripe.index(),
            stripes: share.stripe.of(),
            connections: share.connections,
            lanes: share.lanes,
            in_flight_max: share.in_flight_max,
            agent: share.agent.to_string(),
            reference: share.reference.map_or(0, |rate| rate.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> wire::Load {
        let schedule = wire::open_model::Schedule::Legs(wire::Legs {
            arrivals: wire::Arrivals::Constant.into(),
            leg: vec![wire::Leg {
                from: 1_000,
                to: 1_000,
                lasts: 1_000_000_000,
            }],
        });
        let share = wire::Share {
            to: "local/a/1".to_owned(),
            stripes: 1,
            connections: 2,
            lanes: 1,
            agent: "a".to_owned(),
            ..wire::Share::default()
        };
        wire::Load {
            model: Some(wire::load::Model::Open(wire::OpenModel {
                schedule: Some(schedule),
                seed: 1,
            })),
            shares: vec![share],
            ..wire::Load::default()
        }
    }

    #[test]
    fn what_nobody_can_pace_by_is_refused() {
        L::try_from(load()).unwrap();
        let refused = |change: &dyn Fn(&mut wire::Load)| {
            let mut load = load();
            change(&mut load);
            L::try_from(load).unwrap_err().to_string()
        };
        let open = |load: &mut wire::Load, rate| {
            if let Some(wire::load::Model::Open(open)) = &mut load.model
                && let Some(wire::open_model::Schedule::Legs(legs)) = &mut open.schedule
            {
                (legs.leg[0].from, legs.leg[0].to) = (rate, rate);
            }
        };
        for (told, said) in [
            (refused(&|load| load.model = None), "model: is missing"),
            (
                refused(&|load| {
                    let rise = Some(wire::Rise {
                        from: 9,
                        to: 8,
                        count: 2,
                    });
                    let closed = wire::ClosedModel { think: 0, rise };
                    load.model = Some(wire::load::Model::Closed(closed));
                }),
                "closed.rise: it falls from 9 to 8 users",
            ),
            (
                refused(&|load| open(load, 0)),
                "open.schedule: nothing is ever sent",
            ),
            (
                refused(&|load| open(load, u64::MAX)),
                "open.schedule: leg 1 goes up to",
            ),
            (
                refused(&|load| load.shares[0].stripe = 1),
                "shares[0].stripe: there is no stripe",
            ),
            (
                refused(&|load| load.shares[0].lanes = 3),
                "shares[0].lanes: is 3, not within",
            ),
            (
                refused(&|load| load.shares[0].reference = u64::MAX),
                "shares[0].reference: is 18446744073709551615, not within",
            ),
            (
                refused(&|load| load.shares[0].connections = 0),
                "shares[0].connections: is 0",
            ),
            (
                refused(&|load| load.calls = vec![wire::Call::default()]),
                "calls[0].weight: is 0",
            ),
            (
                refused(&|load| {
                    let body = "x".repeat(L::BODIES_MAX + 1);
                    load.calls = vec![wire::Call {
                        body,
                        ..wire::Call::default()
                    }];
                }),
                "calls: has 262145, more than 262144",
            ),
        ] {
            assert!(told.starts_with(said), "{told}");
        }
    }
}
