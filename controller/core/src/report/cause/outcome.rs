//! What the way in which requests ended says by itself, when nothing else is known.

use nepho_common::{id::InstanceId, recording::Outcome};

use crate::report::said::{Said, said};

/// What happened at this address.
pub(super) fn sentence(outcome: Outcome, target: &Said) -> Said {
    match outcome {
        Outcome::Refused => said!("Nothing listens at {target}.", "{target} 无人监听。"; target),
        Outcome::Timeout => said!(
            "Nothing came back in time from {target}.",
            "{target} 未在时限内应答。";
            target
        ),
        Outcome::Unreachable => said!(
            "The network knows no way to {target}.",
            "网络中没有到 {target} 的路由。";
            target
        ),
        Outcome::Resolve => said!(
            "The host name of {target} could not be resolved.",
            "{target} 的主机名无法解析。";
            target
        ),
        Outcome::Tls => said!(
            "The TLS handshake with {target} failed.",
            "与 {target} 的 TLS 握手失败。";
            target
        ),
        Outcome::Reset => said!(
            "The connection to {target} was cut.",
            "与 {target} 的连接被断开。";
            target
        ),
        Outcome::Status => said!(
            "{target} answered with a status that was not asked for.",
            "{target} 应答的状态码与期望不符。";
            target
        ),
        Outcome::Content => said!(
            "{target} answered with content that was not asked for.",
            "{target} 应答的内容与期望不符。";
            target
        ),
        Outcome::Protocol => said!(
            "What {target} answered does not follow the protocol.",
            "{target} 的应答不符合协议。";
            target
        ),
        Outcome::Success | Outcome::OurSide => {
            said!("Requests to {target} failed.", "发往 {target} 的请求失败。"; target)
        }
    }
}

/// What to do about it; `None` when requests ended in several ways.
pub(super) fn remedy(kind: Option<Outcome>, to: &InstanceId, here: &str) -> Said {
    match kind {
        Some(Outcome::Refused) => said!(
            "Start {to}, or correct its address in the fleet file.",
            "请启动 {to}，或更正服务清单中它的地址。"
        ),
        Some(Outcome::Timeout) => said!(
            "Look whether {to} is stuck or overloaded, and whether a firewall drops packets \
             from {here}.",
            "请检查 {to} 是否卡住或过载，以及是否有防火墙丢弃来自 {here} 的数据包。"
        ),
        Some(Outcome::Unreachable) => said!(
            "Check routes and addresses between {here} and {to}.",
            "请检查 {here} 与 {to} 之间的路由和地址。"
        ),
        Some(Outcome::Resolve) => said!(
            "Correct the host name of {to} in the fleet file, or the name servers of {here}.",
            "请更正服务清单中 {to} 的主机名，或 {here} 的 DNS 服务器设置。"
        ),
        Some(Outcome::Tls) => said!(
            "Check the certificate of {to}: its names, its dates, and who signed it.",
            "请检查 {to} 的证书：名称、有效期和签发者。"
        ),
        Some(Outcome::Reset) => said!(
            "Read the log of {to} and of any proxy before it: it cuts connections.",
            "请查看 {to} 及其前面各级代理服务器的日志：连接是那里断开的。"
        ),
        Some(Outcome::Status) => said!(
            "Read the log of {to}, and compare the path and the expected status in the fleet \
             file with what the service offers.",
            "请查看 {to} 的日志，并核对服务清单中的路径和期望状态码与服务实际提供的是否一致。"
        ),
        Some(Outcome::Content) => said!(
            "Compare the version of {to} with the one that is expected.",
            "请核对 {to} 的版本是否为期望的版本。"
        ),
        Some(Outcome::Protocol) => said!(
            "Check that the port of {to} is the one that speaks this protocol.",
            "请确认 {to} 的这个端口使用的正是该协议。"
        ),
        Some(Outcome::Success | Outcome::OurSide) | None => said!(
            "Begin with the log of {to}: it has the most failures.",
            "请先查看 {to} 的日志：它的失败最多。"
        ),
    }
}

/// Failures that may lie on the way rather than in the service.
pub(super) const fn is_about_the_way(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Refused
        | Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::Resolve
        | Outcome::Tls
        | Outcome::Reset => true,
        Outcome::Success
        | Outcome::Status
        | Outcome::Content
        | Outcome::Protocol
        | Outcome::OurSide => false,
    }
}
