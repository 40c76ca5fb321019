//! Who keeps a host busy, as far as somebody looks at what runs there.

use nepho_common::{plan::Amount, recording::Unit, time::RunTime};

use super::Place;
use crate::report::{
    said::{Said, said},
    tuple::Watched,
};

impl Place<'_> {
    /// What of the watched processes and containers makes up most of a host's load at `at`, or that
    /// none of them does, with what to do about it. `None` when nothing is watched there.
    pub(super) fn hog(&self, host: Watched<'_>, at: RunTime, load: Amount) -> Option<(Said, Said)> {
        let readings = &self.folded.readings;
        let (thing, cores) = readings.busiest(&self.stage.name, host.agent, at)?;
        let processors = self.folded.story.joined.get(host.agent)?.host.cpus;
        let used = Amount::of(cores, Unit::Ratio)?;
        // A process counts in cores, its host in all of them together.
        let is_most = cores * 2.0 >= load.value() * f64::from(processors);
        Some(if is_most {
            (
                said!(
                    "Most of that is {thing}, with {used} of one processor.",
                    "其中大部分来自 {thing}，占用单个处理器的 {used}。"
                ),
                said!(
                    "Look what {thing} does then, and give it a limit or a host of its own.",
                    "请查看 {thing} 当时在做什么，为它设置上限或单独分配主机。"
                ),
            )
        } else {
            (
                said!(
                    "Of what is watched there, {thing} used most, and that is little of it ({used} of \
                     one processor): something else keeps the host busy.",
                    "在被监视的对象中 {thing} 占用最多，但只占一小部分（单个处理器的 {used}）：\
                     使主机繁忙的是别的程序。"
                ),
                said!(
                    "Look what else runs on that host, and watch it too.",
                    "请查看该主机上还运行着什么，并把它也列入监视。"
                ),
            )
        })
    }
}
