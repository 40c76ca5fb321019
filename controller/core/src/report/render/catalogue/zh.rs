//! Chinese, as an engineer in mainland China writes it. Ids, names and units stay as they are.

use nepho_common::recording::Outcome;

use super::{
    super::super::{
        charts::Happening,
        model::{Code, Priority, Verdict},
    },
    Say,
};

pub(super) fn say(what: &Say<'_>) -> String {
    let text = match *what {
        Say::Verdict(verdict) => verdict_word(verdict),
        Say::Outcome(outcome) => outcome_word(outcome),
        Say::Priority(priority) => match priority {
            Some(Priority::High) => "高",
            Some(Priority::Medium) => "中",
            Some(Priority::Low) => "低",
            None => "无",
        },
        Say::Doubt(code) => doubt(code),
        Say::NoPlan => "没有可读计划的运行",
        Say::UnknownRun => "运行编号未知",
        Say::NoFindings => "没有判定项",
        Say::SkipToContent => "跳到判定结果",
        Say::Contents => "目录",
        Say::LateChanges => "迟到结果带来的变化",
        Say::DidNotPass => "未通过的判定项",
        Say::AllPassed => "所有判定项均已通过。",
        Say::NothingJudged => "没有任何判定。",
        Say::Matrix => "从哪里到哪里",
        Say::MatrixNote => "成功请求的响应时间中位数；失败和缺失的请求另行标出。",
        Say::Loads => "负载",
        Say::LoadsNote => "响应时间从每个请求到期的时刻起计。计入失败：失败的请求比任何应答都慢。",
        Say::SentHead => "已发出 / 到期",
        Say::PerSecondHead => "正确应答/秒",
        Say::UsersHead => "用户数",
        Say::QuantileHead(word) => word,
        Say::ResponseHead => "响应 p50、p99、最大",
        Say::WithFailuresHead => "计入失败的 p99",
        Say::ServiceHead => "服务 p50、p99",
        Say::LagHead => "发出延迟 p99",
        Say::GeneratorHead => "最忙的核，最长停顿",
        Say::Never => "从未",
        Say::Judged => "判定内容",
        Say::Stages => "阶段",
        Say::Agents => "探针（Agent）",
        Say::Conditions => "测试条件",
        Say::Hosts => "主机",
        Say::Doubts => "存疑之处",
        Say::NoDoubts => "没有发现影响可信度的问题。",
        Say::Evidence => "证据",
        Say::EvidenceNote => "未通过的判定项所依据的日志记录；全部判定项的记录见 JSON 报告。",
        Say::Finding => "判定项",
        Say::Was => "原结论",
        Say::Is => "新结论",
        Say::VerdictHead => "结论",
        Say::Findings => "判定项",
        Say::Stage => "阶段",
        Say::StageStep => "阶段 / 步骤",
        Say::Began => "开始于",
        Say::Lasted => "持续",
        Say::Remark => "备注",
        Say::Agent => "探针",
        Say::Environment => "环境",
        Say::RequestsHead => "请求数",
        Say::RecordsHead => "记录数",
        Say::Complete => "已证明完整",
        Say::MissingHead => "缺失",
        Say::Who => "角色",
        Say::Host => "主机名",
        Say::System => "系统",
        Say::Size => "规格",
        Say::Version => "版本",
        Say::Controller => "控制器",
        Say::FromTo => "源 \\ 目标",
        Say::From => "源环境",
        Say::Pair => "源 → 目标",
        Say::Service => "服务",
        Say::Group => "分组",
        Say::Seen => "实测",
        Say::Expected => "期望",
        Say::Observed => "实测",
        Say::Uncertainty => "不确定度",
        Say::Cause => "可能原因",
        Say::Remedy => "处理建议",
        Say::SamplesHead => "样本数",
        Say::MeasuredBy => "测量者",
        Say::SameFor => "同样适用于",
        Say::SameForSome(n) => return format!("另有 {n} 项情况相同"),
        Say::NoRequest => "无应答",
        Say::FromWhere(from) => return format!("自 {from}"),
        Say::Starts => "各探针与统一启动时刻的偏差",
        Say::StartError => "偏差",
        Say::RoundTrip => "最短往返时间",
        Say::CauseShort => "原因",
        Say::TheSame => "同样适用于",
        Say::About => "涉及",
        Say::Kind => "类别",
        Say::Text => "说明",
        Say::TitleOfPriority(priority) => match priority {
            Some(Priority::High) => "优先处理",
            Some(Priority::Medium) => "其次处理",
            Some(Priority::Low) => "有空再看",
            None => "未定优先级",
        },
        Say::Latencies => "延迟",
        Say::PercentilesNote => {
            "成功请求的响应时间，从应发出的时刻算起。色带为 95% 区间（假定请求相互独立）；\
             曲线止于其上不足十个样本之处。"
        }
        Say::PercentilesFrom(from) => return format!("百分位数，自 {from}"),
        Say::ToWhere(to) => return format!("到 {to}"),
        Say::Successes(n) => return format!("成功 {n} 次"),
        Say::FailuresLeftOut(n) => return format!("失败 {n} 次未计入"),
        Say::OurSideLeftOut(n) => return format!("测量端自身故障 {n} 次"),
        Say::AsTable => "查看数据表",
        Say::PercentileHead => "百分位",
        Say::TooFewValues => "样本太少",
        Say::OverTimeNote => {
            "随时间的变化：颜色越突出，落在该延迟的请求越多。下方红条为失败次数，上方数字对应下文事件表。"
        }
        Say::OverTime(from, to) => return format!("随时间变化，{from} → {to}"),
        Say::CoarseNote(n, every) => {
            return format!("有 {n} 个值来自长于 {every} 的记录，画在该记录开始处。");
        }
        Say::SinceStage => "阶段内时间",
        Say::SuccessesHead => "成功",
        Say::FailuresHead => "失败",
        Say::FastestHead => "最快不低于",
        Say::MedianHead => "中位数低于",
        Say::SlowestHead => "最慢低于",
        Say::MorePlots(n) => return format!("另有 {n} 对环境未画出。"),
        Say::Events => "事件",
        Say::Number => "序号",
        Say::InRun => "运行时间",
        Say::What => "内容",
        Say::Happened(what, about) => {
            return match what {
                Happening::StageBegan => format!("阶段 {about} 开始"),
                Happening::StageEnded => format!("阶段 {about} 结束"),
                Happening::AgentLost => format!("最后一次收到 {about} 的消息"),
                Happening::AgentReturned => format!("{about} 恢复联系"),
                Happening::AgentRestarted => format!("{about} 重启后恢复联系"),
                Happening::ClockDisturbed => format!("{about} 的时钟曾停顿"),
            };
        }
        Say::MoreMarks(n) => return format!("另有 {n} 个事件未列出。"),
        Say::Resources => "资源",
        Say::ResourcesNote => "线为每段时间内的最大值，色带向下延伸到最小值。",
        Say::GaugeIn(name, from) => return format!("{name}，{from}"),
        Say::Of => "对象",
        Say::ValuesHead => "取值个数",
        Say::Least => "最小",
        Say::Most => "最大",
        Say::MoreGauges(n) => return format!("另有 {n} 条曲线未画出。"),
        Say::TheScenario => "场景文件",
        Say::AsItWasRun => "本次运行所用的文件",
        Say::MoreBytes(n) => return format!("其余 {n} 字节见运行日志。"),
        Say::OnePair => "只涉及一对环境的步骤",
        Say::OutOfLine => "异常的服务：",
        Say::NoPath => "无路径",
        Say::Nothing => "无",
        Say::ScenarioFile => "场景",
        Say::NoHosts => "主机信息未知",
        Say::AboutTheRun => "整个运行",
        Say::CantPass(text) => return format!("本次运行不能判为通过：{text}。"),
        Say::Run(run) => return format!("运行 {run}"),
        Say::Scenario(name) => return format!("场景 {name}"),
        Say::BeganAt(at) => return format!("开始于 {at}"),
        Say::EndedAt(at) => return format!("结束于 {at}"),
        Say::Count(n, verdict) => return format!("{} {n} 项", verdict_word(verdict)),
        Say::Revised {
            number,
            late,
            said,
            closed,
        } => {
            let said = said.map_or("无结论", verdict_word);
            let open = if closed {
                ""
            } else {
                "；可能还有结果到达"
            };
            return format!(
                "第 {number} 版：第 {} 版（结论为“{said}”）之后又收到{late}{open}",
                number.saturating_sub(1)
            );
        }
        Say::LateRecordsOf(n, agent) => return format!("{agent} 的 {n} 条记录"),
        Say::LateRecords(n, whose) => return format!(" {n} 条记录（{whose}）"),
        Say::LateOf(n, agent) => return format!("{agent} {n} 条"),
        Say::LateOthers(n) => return format!("另有 {n} 个探针的记录"),
        Say::OfPriority(priority) => {
            return format!("优先级：{}", say(&Say::Priority(priority)));
        }
        Say::ExpectedObserved(expected, observed) => {
            return format!("期望：{expected}；实测：{observed}");
        }
        Say::OfPlanned(observed, planned) => {
            return format!("计划 {planned} 个请求，实得 {observed} 个");
        }
        Say::SamplesOf(observed, planned) => return format!("{observed} / {planned}"),
        Say::AndMoreInJson(n) => return format!("另有 {n} 项，见 JSON 报告"),
        Say::AndMore(n) => return format!("另有 {n} 项"),
        Say::MoreNotPassed(n) => return format!("另有 {n} 项未通过"),
        Say::SummaryCut => "报告在此截断；完整内容见 report.md 和 report.json。",
        Say::MoreChanged(n) => return format!("另有 {n} 项发生变化。"),
        Say::SeveralFindings(n) => return format!("{n} 个判定项"),
        Say::FailedOf(failed, n) => return format!("{n} 次中失败 {failed} 次"),
        Say::MedianOf(stage, step) => return format!("{stage} / {step}：响应时间中位数"),
        Say::FromToOf(from, to) => return format!("{from} → {to}"),
        Say::AllServices(n) => return format!("全部 {n} 个服务，按源环境列出"),
        Say::MissingOf(n) => return format!("缺失 {n} 次"),
        Say::SentOf(sent, due) => return format!("{sent} / {due}"),
        Say::SpinsFor(spin) => return format!("自旋等待至多 {spin}"),
        Say::CoreAndGap(percent, gap) => return format!("{percent}%，{gap}"),
        Say::LanesAndReference(lanes, reference) => {
            return format!("负载通道 {lanes}，参考通道 {reference}");
        }
        Say::LastedOf(lasted, planned) => return format!("{lasted} / {planned}"),
        Say::Refused(why) => return format!("拒绝执行：{why}"),
        Say::Lost(span) => return format!("失联 {span}"),
        Say::LostBetween {
            from,
            to,
            restarted,
        } => {
            let restarted = if restarted { "，已重启" } else { "" };
            return format!("{from} 至 {to}（{}{restarted}）", to.since(from));
        }
        Say::LostToTheEnd(from) => return format!("{from} 起直到结束"),
        Say::RequestsMissing {
            missing,
            planned,
            stage,
            why,
        } => return format!("阶段 {stage} 的 {planned} 个请求中缺失 {missing} 个：{why}"),
        Say::AgentGap(agent, gap) => return format!("探针 {agent}：{gap}"),
        Say::Plan(id) => return format!("计划 {id}"),
        Say::TheRun(end) => return format!("运行结束方式：{end}"),
        Say::WorstStart {
            agent,
            stage,
            start,
        } => return format!("最差的启动同步：{agent}，阶段 {stage}，{start}"),
        Say::StartWithin(late, bound) => return format!("{late} ± {bound}"),
        Say::StartNarrowed(late, bound, alone) => {
            return format!("{late} ± {bound}（依据主机自身时钟；仅凭时间戳交换为 ± {alone}）");
        }
        Say::StartUnbound(late) => return format!("{late}，时钟误差范围未知"),
        Say::WallClock {
            agent,
            kept,
            within,
        } => {
            let kept = if kept { "已同步" } else { "无人校准" };
            return format!("{agent} 的系统时钟：{kept}，误差不超过 {within}");
        }
        Say::File(name, digest) => return format!("文件 {name}：sha256 {digest}"),
        Say::HostSize(cpus, mebibytes) => return format!("{cpus} 核，{mebibytes} MiB"),
        Say::DoubtOf(kind, text) => return format!("存疑（{kind}）：{text}"),
        Say::DoubtsOfKind(more) => return format!("（同类另有 {more} 条）"),
        Say::RecordIn(seq, spool) => return format!("缓存区 {spool} 第 {seq} 条"),
        Say::RecordsIn(from, to, spool, n) => {
            return format!("缓存区 {spool} 第 {from} 至 {to} 条（其中 {n} 条）");
        }
        Say::MadeBy(version) => {
            let space = if version.is_empty() { "" } else { " " };
            return format!(
                "由 nepho{space}{version} 根据运行日志生成；同一份日志总是得到同一份页面。"
            );
        }
        Say::LeftOut(n) => return format!("另有 {n} 项，见 JSON 报告。"),
        Say::ToMend => "需要处理的事项",
        Say::MendOf(priority, n) => {
            let priority = say(&Say::Priority(priority));
            return format!("优先级：{priority}，涉及 {n} 个判定项");
        }
    };
    text.to_owned()
}

const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "通过",
        Verdict::NotRun => "未执行",
        Verdict::Inconclusive => "无法判定",
        Verdict::Fail => "失败",
        Verdict::Error => "出错",
    }
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "成功",
        Outcome::Status => "状态码不符",
        Outcome::Content => "内容不符",
        Outcome::Refused => "连接被拒",
        Outcome::Reset => "连接被断开",
        Outcome::Timeout => "超时",
        Outcome::Unreachable => "网络不可达",
        Outcome::Resolve => "域名解析失败",
        Outcome::Tls => "TLS 握手失败",
        Outcome::Protocol => "协议错误",
        Outcome::OurSide => "测量端自身故障",
    }
}

const fn doubt(code: Code) -> &'static str {
    match code {
        Code::NoStart => "缺少运行起点",
        Code::NoPlan => "缺少计划",
        Code::RunFailed => "运行中断",
        Code::NothingExpected => "没有期望",
        Code::Unfinished => "尚未结束",
        Code::Stopped => "被人停止",
        Code::Conflict => "记录冲突",
        Code::Contradiction => "自相矛盾",
        Code::Unreadable => "记录不可读",
        Code::NotItsOwn => "越权记录",
        Code::NotPlanned => "计划外记录",
        Code::OtherRun => "属于其他运行",
        Code::TooMany => "多于计划",
        Code::SealDiffers => "与封存清单不符",
        Code::NoSeal => "缺少封存清单",
        Code::Refused => "探针拒绝",
        Code::Lost => "探针失联",
        Code::ControllerAway => "控制器中途离开",
        Code::Suspended => "时钟曾停顿",
        Code::Clock => "时间戳矛盾",
        Code::WallClock => "系统时钟不准",
        Code::HostClock => "主机时钟信息不可信",
        Code::Gap => "记录丢失",
        Code::Coarse => "时间粒度变粗",
        Code::NotSent => "请求未发出",
        Code::Generator => "负载发生器没有跟上",
        Code::PassedWithout => "数据不全但通过",
        Code::NoPath => "无路径",
        Code::Aborted => "运行被保护条件中止",
        Code::LoadEnded => "负载提前结束",
        Code::Watched => "被监视对象有变化",
        Code::Versions => "版本不一致",
    }
}
