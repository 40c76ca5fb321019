//! A sentence in every language, made where its figures are known and chosen late.
//!
//! What the fold says of a run — causes, remedies, doubts, what was expected and seen — is built as
//! [`Said`] with [`said!`], which takes the text of each language beside the others: one that is
//! missing does not compile. Ids, figures, units and what a target said are put in as they are. The
//! words of tables and titles are in `render/catalogue`.
//!
//! One word for one thing, here as there:
//!
//! | English | Chinese |
//! |---|---|
//! | agent, controller, measuring side | 探针, 控制器, 测量端 |
//! | environment, service, instance, host | 环境, 服务, 实例, 主机 |
//! | fleet file, scenario, plan, run | 服务清单, 场景, 计划, 运行 |
//! | stage, step, path, request | 阶段, 步骤, 路径, 请求 |
//! | expectation, finding, verdict | 期望, 判定项, 结论 |
//! | journal, record, seal, spool | 运行日志, 记录, 封存清单, 缓存区 |
//! | log of a service | 日志 |
//! | doubt, evidence | 存疑, 证据 |
//! | lost, missing, skipped | 失联, 缺失, 跳过 |
//! | wall clock, clock stood still | 系统时钟, 时钟停顿 |
//! | confidence, interval | 置信度, 区间 |
//! | send lag | 发送延迟 |
//!
//! What somebody else said, an agent, a target, or ourselves in a line that is stored, stays in its
//! own language, in Chinese between `“` and `”`.
//!
//! Chinese has a space between its characters and Latin letters or digits, none beside its own
//! punctuation, and `：`, `，`, `；`, `。` and `（…）` for ours.

use std::fmt::Display;

use super::render::Lang;

/// The same in every language. Ordered by the English text, so that a choice among several does not
/// depend on who reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    en: String,
    zh: String,
}

/// A [`Said`] from the format strings of each language; both capture what they name. After `;` stand
/// captured ones that are [`Said`] themselves.
///
/// ```text
/// let how = said!("refused {n}", "连接被拒 {n}");
/// said!("{to} failed ({how}).", "{to} 失败（{how}）。"; how)
/// ```
macro_rules! said {
    ($en:literal, $zh:literal $(,)?) => {
        $crate::report::said::Said::new(format!($en), format!($zh))
    };
    ($en:literal, $zh:literal; $($part:ident),+ $(,)?) => {
        $crate::report::said::Said::new(
            {
                $(let $part = $part.of($crate::report::render::Lang::En);)+
                format!($en)
            },
            {
                $(let $part = $part.of($crate::report::render::Lang::ZhCn);)+
                format!($zh)
            },
        )
    };
}
pub(crate) use said;

impl Said {
    pub(crate) const fn new(en: String, zh: String) -> Self {
        Self { en, zh }
    }

    /// A figure, an id, or the words of somebody else: the same in every language.
    pub(crate) fn as_is(what: impl Display) -> Self {
        let text = what.to_string();
        Self::new(text.clone(), text)
    }

    pub(crate) fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::ZhCn => &self.zh,
        }
    }

    pub(crate) fn into_text(self, lang: Lang) -> String {
        match lang {
            Lang::En => self.en,
            Lang::ZhCn => self.zh,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.en.is_empty() && self.zh.is_empty()
    }

    pub(crate) fn push(&mut self, more: &Self) {
        self.en.push_str(&more.en);
        self.zh.push_str(&more.zh);
    }

    /// One thing after another.
    pub(crate) fn list(all: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(all, ", ", "、")
    }

    /// The same with an `and` between them, where that is usual.
    pub(crate) fn both(all: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(all, " and ", "、")
    }

    /// Phrases with commas of their own, one after another.
    pub(crate) fn phrases(all: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(all, ", ", "，")
    }

    /// Half sentences, one after another.
    pub(crate) fn clauses(all: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(all, "; ", "；")
    }

    /// Whole sentences, one after another.
    pub(crate) fn sentences(all: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(all, " ", "")
    }

    /// Empty ones are left out.
    fn joined(all: impl IntoIterator<Item = Self>, en: &str, zh: &str) -> Self {
        let between = Self::new(en.to_owned(), zh.to_owned());
        let mut text = Self::default();
        for one in all.into_iter().filter(|one| !one.is_empty()) {
            if !text.is_empty() {
                text.push(&between);
            }
            text.push(&one);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_takes_others_in_the_same_language() {
        let (n, to) = (3, "local/crm/1");
        let how = said!("refused {n}", "连接被拒 {n}");
        let both = said!("{to} failed ({how}).", "{to} 失败（{how}）。"; how);
        assert_eq!(both.of(Lang::En), "local/crm/1 failed (refused 3).");
        assert_eq!(both.of(Lang::ZhCn), "local/crm/1 失败（连接被拒 3）。");
    }

    #[test]
    fn what_is_joined_has_the_signs_of_its_language_and_no_empty_parts() {
        let all = || [said!("a", "甲"), Said::default(), Said::as_is(7)];
        for (said, en, zh) in [
            (Said::list(all()), "a, 7", "甲、7"),
            (Said::clauses(all()), "a; 7", "甲；7"),
            (Said::sentences(all()), "a 7", "甲7"),
        ] {
            assert_eq!((said.of(Lang::En), said.of(Lang::ZhCn)), (en, zh));
        }
        assert!(Said::list([]).is_empty());
    }

    #[test]
    fn which_of_two_comes_first_does_not_depend_on_the_reader() {
        let (one, other) = (said!("a", "乙"), said!("b", "甲"));
        assert!(one < other);
    }
}
