//! What each code means, with an example of wrong and right.

use super::Code;

/// A paragraph about a code, for `nepho explain CODE`; `None` when there is no such code.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    Code::ALL
        .iter()
        .find(|one| one.as_str().eq_ignore_ascii_case(code))
        .map(|one| text(*one))
}

fn text(code: Code) -> &'static str {
    match code {
        Code::Syntax => {
            "The file is not YAML (and so not JSON either). Look at the line above the caret too: \
             an open bracket or quote is often noticed only where the next key begins.\n\n\
             wrong:  from: [local\n\
             right:  from: [local]"
        }
        Code::TooLarge => {
            "A file has at most 256 KiB. Forty services take about 9 KiB; what is larger was \
             probably generated, and belongs into several fleets.\n\n\
             right:  one file for each fleet"
        }
        Code::TooDeep => {
            "Lists and maps are nested at most 32 deep. No key of either file stands deeper than \
             level 8, so this is a slip with brackets.\n\n\
             wrong:  from: [[[[…]]]]\n\
             right:  from: [local]"
        }
        Code::DuplicateKey => {
            "A map has the same key twice. Most programs silently take the last one; which of the \
             two was meant only you know.\n\n\
             wrong:  {every: 1s, every: 2s}\n\
             right:  {every: 2s}"
        }
        Code::Alias => {
            "YAML's anchors (`&name`), aliases (`*name`) and merges (`<<`) are not taken: a few \
             lines of them can stand for gigabytes, and a reader must look elsewhere to know \
             what is meant.\n\n\
             wrong:  from: *all\n\
             right:  from: [local, tencent]"
        }
        Code::SeveralDocuments => {
            "A file holds one document. A line of `---` in the middle begins a second one.\n\n\
             right:  one file for each document"
        }
        Code::Tag => {
            "YAML's tags (`!name`) are not taken: every key says by itself what its value is.\n\n\
             wrong:  instance: [!!str 1]\n\
             right:  instance: [\"1\"]"
        }
        Code::KeyNotText => {
            "A list or a map stands where a key should. `{[a]: b}` and `? …` are YAML, but no key \
             of ours.\n\n\
             wrong:  labels: {[a]: b}\n\
             right:  labels: {a: b}"
        }
        Code::Empty => {
            "The file is empty, or holds comments alone. `nepho init` writes one to start from."
        }
        Code::UnknownKey => {
            "There is no such key at this place. Often it is misspelt, or stands one level too \
             deep or too high. `nepho schema` prints what stands where, and editors complete it.\n\n\
             wrong:  probe: {health: {}, evry: 1s}\n\
             right:  probe: {health: {}, every: 1s}"
        }
        Code::WrongType => {
            "The value has the wrong form: text for a list, a number for text, nothing at all. A \
             number that is meant as a name needs quotes; a list of one needs brackets; a map \
             with nothing in it is `{}`.\n\n\
             wrong:  from: local\n\
             right:  from: [local]"
        }
        Code::MissingKey => {
            "Something that must be said is not. The caret stands at the map that lacks it.\n\n\
             wrong:  {name: local, steps: {…}}\n\
             right:  {name: local, lasts: 30s, steps: {…}}"
        }
        Code::ComesLater => {
            "This is part of the design and will come, but this version of nepho can't do it. It \
             is refused rather than passed over, because a run that leaves out what you asked for \
             would be a lie.\n\n\
             wrong:  latency: {mean: {max: 1s}}\n\
             right:  latency: {p50: {max: 1s}}"
        }
        Code::ExactlyOne => {
            "Of several keys exactly one must be there: a probe asks `health`, `http` or `tcp`; a \
             load is `open` or `closed`; a service has `http` or `tcp`, and `address` or `instances`; an entry of `expect` has \
             `failures`, `success-rate`, `latency`, `certificate` or `resource`.\n\n\
             wrong:  probe: {health: {}, tcp: {}}\n\
             right:  two steps, one with `health: {}` and one with `tcp: {}`"
        }
        Code::OutOfRange => {
            "The number is too small or too large, or the list or map too short or too long. The \
             label says the limit.\n\n\
             wrong:  weight: -1\n\
             right:  weight: 0"
        }
        Code::NotOneOf => {
            "Only certain words are known here; the help lists them.\n\n\
             wrong:  policy: roundrobin\n\
             right:  policy: round-robin"
        }
        Code::ApiVersion => {
            "The first line says which version of the format the file is written in. This nepho \
             reads `nepho/v1`.\n\n\
             wrong:  api: v1\n\
             right:  api: nepho/v1"
        }
        Code::BadName => {
            "Names become parts of file names, host names and ids, so they have 1 to 63 lower-case \
             letters, digits, '.', '_' and '-', and begin with a letter or digit. `title` takes \
             any language.\n\n\
             wrong:  name: 三环境测试\n\
             right:  {name: three-environments, title: 三环境测试}"
        }
        Code::BadDuration => {
            "A duration is a whole number and a unit (h, m, s, ms, us, ns), or several from large \
             to small. It may also be outside of what the key allows; the label says so.\n\n\
             wrong:  lasts: 90\n\
             right:  lasts: 1m30s"
        }
        Code::BadRatio => {
            "A share is written in percent, from 0% to 100%, with at most four decimals. A bare \
             number is refused, because 1 could mean 1 % or all.\n\n\
             wrong:  success-rate: {min: 0.99}\n\
             right:  success-rate: {min: 99%}"
        }
        Code::BadAddress => {
            "An address is HOST:PORT, [IPv6]:PORT, http://HOST or https://HOST (with :PORT where it \
             is not 80 or 443). It has no path. The service's own environment is called `inside`.\n\n\
             wrong:  inside: 10.0.0.5\n\
             right:  inside: 10.0.0.5:7500"
        }
        Code::BadHttp => {
            "HTTP can't send this, or a probe may not: a path begins with `/` and holds no space, \
             a header is one line of ASCII, and a probe only reads (GET, HEAD, OPTIONS).\n\n\
             wrong:  http: {path: api/contacts, method: POST}\n\
             right:  http: {path: /api/contacts}"
        }
        Code::Reference => {
            "`${env:NAME}` and `${file:/PATH}` are read in the values of `headers` only, by the \
             agent that sends them. Elsewhere they would stay as they are written. There is no \
             default and no nesting. Path, body and headers of what a load sends may hold \
             `${sequence}`, `${random:1-1000}`, `${feed:NAME.COLUMN}` of one of its `feeds`, and \
             `${taken:NAME}`, which an earlier request of the same `flow` takes; `$${` is `${` \
             itself there.\n\n\
             wrong:  title: ${env:TITLE}\n\
             right:  headers: {authorization: \"Bearer ${env:TOKEN}\"}"
        }
        Code::BadText => {
            "The text can't be shown on one line: it is empty or too long, or holds line breaks or \
             characters that can't be seen.\n\n\
             wrong:  title: \"a\\nb\"\n\
             right:  title: a, b"
        }
        Code::BadBounds => {
            "Bounds need `min`, `max` or both, and `min` is not above `max`.\n\n\
             wrong:  latency: {p50: {}}\n\
             right:  latency: {p50: {max: 50ms}}"
        }
        Code::LiteralSecret => {
            "A secret stands in the file: a value of `authorization`, `cookie` and the like, or a \
             password in an address. Files are kept, hashed and sent; let the agent read it.\n\n\
             wrong:  headers: {authorization: Bearer abc}\n\
             right:  headers: {authorization: \"Bearer ${env:TOKEN}\"}"
        }
        Code::BadQuestion => {
            "What a probe asks for or expects has its form: a path into JSON, a DNS name, an answer \
             of a kind of record, a number, a host that a certificate can name.\n\n\
             wrong:  json: {status: ok}\n\
             right:  json: {$.status: ok}"
        }
        Code::BadSchedule => {
            "A rate says how many requests are due in a second or a minute, over all agents of the \
             step; decimals are taken as far as a thousandth of a request per second. A schedule \
             must send something, and its instants must not go back in time.\n\n\
             wrong:  open: {rate: 800}\n\
             right:  open: {rate: 800/s}"
        }
        Code::UnknownEnvironment => {
            "The fleet file has no such environment. Everything that is named must be declared \
             under `environments`, if only as `NAME: {}`.\n\n\
             wrong:  from: [aliyn]\n\
             right:  from: [aliyun]"
        }
        Code::UnknownGroup => {
            "The fleet has no such group. With a section `groups` every group must be declared in \
             it; without one, groups are what the services name.\n\n\
             wrong:  to: {group: [loomcrm]}\n\
             right:  to: {group: [loomacrm]}"
        }
        Code::UnknownService => {
            "The fleet has no such service. In `depends-on`, NAME means a service of the same \
             environment; ENVIRONMENT/NAME means one of another.\n\n\
             wrong:  depends-on: [crm-bd]\n\
             right:  depends-on: [crm-db]"
        }
        Code::UnknownInstance => {
            "No service of the fleet has an instance of this name. The only instance of a service \
             that is written with `address` is named \"1\".\n\n\
             wrong:  to: {instance: [\"3\"]}\n\
             right:  to: {instance: [\"1\"]}"
        }
        Code::UnknownLabel => {
            "No instance of the fleet has this label, or none has it at this value, so the \
             selector would choose nobody.\n\n\
             wrong:  to: {label: {teir: [front]}}\n\
             right:  to: {label: {tier: [front]}}"
        }
        Code::UnknownStep => {
            "`on` names a step of the same stage; there is none of this name.\n\n\
             wrong:  expect: [{on: raech, failures: {max: 0}}]\n\
             right:  expect: [{on: reach, failures: {max: 0}}]"
        }
        Code::UnknownStage => {
            "`after` names stages that stand earlier in the file. Stages run in file order, so a \
             stage can't wait for itself or a later one.\n\n\
             wrong:  [{name: cloud, after: [hybrid]}, {name: hybrid}]\n\
             right:  [{name: hybrid}, {name: cloud, after: [hybrid]}]"
        }
        Code::UnknownFile => {
            "The scenario names a file that was not sent with it. Neither controller nor agents \
             read files of the operator's machine: whoever sends the scenario sends every file \
             that it names.\n\n\
             right:  fleet: ../cluster-config.yaml, relative to the scenario"
        }
        Code::DuplicateName => {
            "Two things of one kind have the same name: services of one environment, instances of \
             one service, stages of one scenario, headers (whose case does not count), or \
             expectations that differ in nothing but their bounds.\n\n\
             wrong:  [{name: cloud}, {name: cloud}]\n\
             right:  [{name: cloud}, {name: hybrid}]"
        }
        Code::SharedAddress => {
            "Two instances have the same `inside` address in one environment. Two programs can't \
             listen on one host and port, so one of the two addresses is wrong.\n\n\
             wrong:  two services with inside: 10.0.0.5:7500\n\
             right:  inside: 10.0.0.5:7500 and inside: 10.0.0.5:7501"
        }
        Code::DependencyCycle => {
            "Services need each other in a circle, so there is no order in which they could be \
             started.\n\n\
             wrong:  a has depends-on: [b], b has depends-on: [a]\n\
             right:  a has depends-on: [b]"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::codes, *};

    #[test]
    fn every_code_is_explained_with_what_is_right() {
        for code in codes() {
            let text = explain(code).unwrap();
            assert!(text.len() > 60, "{code}");
            assert!(text.contains("right:") || text.contains("`nepho"), "{code}");
        }
        assert_eq!(explain("n0201"), explain("N0201"));
        assert_eq!(explain("N9999"), None);
    }
}
