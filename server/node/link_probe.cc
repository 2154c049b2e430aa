#include "server/node/link_probe.h"

#include <algorithm>

namespace cairn::server {

void LinkProbe::tick(const std::vector<raft::NodeId>& members, raft::Index stable_index,
                     std::int64_t now_ns) {
    if (!is_due(now_ns)) {
        return;
    }
    last_round_ns_ = now_ns;
    std::erase_if(links_, [&](const Link& link) {
        return std::find(members.begin(), members.end(), link.peer) == members.end();
    });
    for (const raft::NodeId member : members) {
        if (member == self_) {
            continue;
        }
        Link* link = find(member);
        if (link == nullptr) {
            link = &links_.emplace_back();
            link->peer = member;
        }
        link->pinged_ns = now_ns;
        link->number = ++next_number_;
        note_.mutable_ping()->set_number(link->number);
        note_.mutable_ping()->set_hears_you(hears(*link, now_ns));
        note_.mutable_ping()->set_stable_index(stable_index);
        // One that is lost is like one that isn't answered.
        (void)transport_.send_application(member, note_.SerializeAsString());
    }
}

void LinkProbe::on_ping(raft::NodeId from, const v1::Ping& ping, std::int64_t now_ns) {
    note_.mutable_pong()->set_number(ping.number());
    (void)transport_.send_application(from, note_.SerializeAsString());
    if (Link* link = find(from)) {
        link->heard_ns = now_ns;
        link->told_ns = now_ns;
        link->hears_us = ping.hears_you();
        if (ping.has_stable_index()) {
            link->stable_index = ping.stable_index();
        }
    }
}

void LinkProbe::on_pong(raft::NodeId from, const v1::Pong& pong, std::int64_t now_ns) {
    Link* link = find(from);
    if (link == nullptr) {
        return;
    }
    link->heard_ns = now_ns;
    if (link->number == 0 || pong.number() != link->number) {
        return;  // the answer to an earlier one, or to none
    }
    link->number = 0;
    link->answered_ns = now_ns;
    link->rtt_ns = now_ns - link->pinged_ns;
}

bool LinkProbe::hears(const Link& link, std::int64_t now_ns) {
    return link.heard_ns != 0 && now_ns - link.heard_ns <= silence_ns;
}

std::optional<bool> LinkProbe::reaches(const Link& link, std::int64_t now_ns) {
    if (link.answered_ns != 0 && now_ns - link.answered_ns <= silence_ns) {
        return true;
    }
    if (link.told_ns != 0 && now_ns - link.told_ns <= silence_ns) {
        return link.hears_us;
    }
    return std::nullopt;
}

const LinkProbe::Link* LinkProbe::link(raft::NodeId peer) const {
    for (const Link& link : links_) {
        if (link.peer == peer) {
            return &link;
        }
    }
    return nullptr;
}

LinkProbe::Link* LinkProbe::find(raft::NodeId peer) {
    return const_cast<Link*>(link(peer));
}

}  // namespace cairn::server
