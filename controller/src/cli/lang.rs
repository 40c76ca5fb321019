//! In which language reports are written: `--lang`, then NEPHO_LANG, then the locale.

use std::env;

use nepho_controller_core::report::render::Lang;

/// What `--lang` and NEPHO_LANG take.
pub(super) fn parse(text: &str) -> Result<Lang, String> {
    let known = Lang::ALL.into_iter().find(|lang| lang.tag() == text);
    known.ok_or_else(|| "the languages are en and zh-CN".to_owned())
}

/// The one that was asked for, else the one of the locale.
pub(super) fn choose(asked: Option<Lang>) -> Lang {
    asked.unwrap_or_else(|| of_locale(|name| env::var(name).ok()))
}

/// The first of these that is set and not empty decides, as in POSIX (Base Definitions, 8.2).
fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Lang {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
    let lang = locale.and_then(|locale| Lang::of_locale(&locale));
    lang.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let of = |all: &[(&str, &str)]| {
            let all = all.to_vec();
            of_locale(|name| {
                let found = all.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        for (set, lang) in [
            (&[][..], Lang::En),
            (&[("LANG", "zh_CN.UTF-8")], Lang::ZhCn),
            (&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")], Lang::En),
            (
                &[("LC_ALL", ""), ("LC_MESSAGES", "zh_CN"), ("LANG", "C")],
                Lang::ZhCn,
            ),
            (&[("LANG", "ja_JP.UTF-8")], Lang::En),
        ] {
            assert_eq!(of(set), lang, "{set:?}");
        }
    }

    #[test]
    fn a_language_is_asked_for_by_its_tag() {
        assert_eq!(parse("zh-CN"), Ok(Lang::ZhCn));
        assert!(parse("zh_TW").unwrap_err().contains("zh-CN"));
    }
}
