//! What targets say of themselves.

use nepho_common::{
    event::{Subject, What},
    plan::{Dimension, Judge},
    time::RunTime,
};

use crate::report::{
    fixture::{Author, agent, find, good, journal, of, plan, text},
    model::{Finding, Verdict},
};

/// What is said of dao-api, of which there is one in each environment, when these say this.
fn same(said: &[(&str, &str)]) -> Finding {
    let mut plan = plan();
    plan.stages[1].expectations[0].judge = Judge::Same {
        fact: text("version"),
    };
    plan.stages[1].expectations[0].by = vec![Dimension::Service];
    let mut entries = journal(&plan, good);
    let mut author = Author::new(agent("local"), 99);
    for (to, version) in said {
        author.say(What::FactSeen {
            of: Subject {
                stage: "hybrid".parse().unwrap(),
                step: "reach".parse().unwrap(),
                to: to.parse().unwrap(),
            },
            at: RunTime(0),
            name: text("version"),
            value: text(version),
        });
    }
    entries.extend(author.entries);
    find(&of(entries), "hybrid/reach/same.version/dao-api").clone()
}

#[test]
fn a_version_that_differs_is_named_with_who_has_it() {
    let [here, there, far] = ["local", "tencent", "aliyun"].map(|one| format!("{one}/dao-api/1"));
    let differs = same(&[(&here, "2.1.0"), (&there, "2.1.0"), (&far, "1.9.3")]);
    assert_eq!(differs.verdict, Verdict::Fail);
    assert_eq!(
        differs.cause.as_deref(),
        Some(
            "Not all say the same version: aliyun/dao-api/1 says 1.9.3, while local/dao-api/1, \
             tencent/dao-api/1 says 2.1.0."
        )
    );
    assert!(
        differs
            .remedy
            .unwrap()
            .starts_with("Bring aliyun/dao-api/1 to version 2.1.0")
    );
    let same_everywhere = same(&[(&here, "2.1.0"), (&there, "2.1.0"), (&far, "2.1.0")]);
    assert_eq!(same_everywhere.verdict, Verdict::Pass);
    assert_eq!(same_everywhere.observed.text, "version 2.1.0 (3)");
}

#[test]
fn who_says_nothing_may_be_the_one_that_differs() {
    let silent = same(&[("local/dao-api/1", "2.1.0"), ("tencent/dao-api/1", "2.1.0")]);
    assert_eq!(silent.verdict, Verdict::Inconclusive);
    assert!(
        silent
            .cause
            .unwrap()
            .starts_with("Of aliyun/dao-api/1 no version was heard.")
    );
    // Two that differ are enough, whatever the third would say.
    let two = same(&[("local/dao-api/1", "2.1.0"), ("tencent/dao-api/1", "2.0.0")]);
    assert_eq!(two.verdict, Verdict::Fail);
    assert_eq!(same(&[]).verdict, Verdict::Inconclusive);
}
