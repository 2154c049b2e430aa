#include "tests/sim/transport.h"

#include <algorithm>
#include <array>
#include <utility>

namespace cairn::sim {

namespace {

constexpr std::uint64_t frame_bytes_max = 4U << 20;
constexpr std::int64_t dial_timeout_ns = 3 * second;
constexpr std::int64_t backoff_min_ns = 20 * ms;
constexpr std::int64_t backoff_max_ns = 1 * second;

}  // namespace

std::string raft_address_of(raft::NodeId id) {
    return "node" + std::to_string(id) + ".example:7000";
}

std::string http_address_of(raft::NodeId id) {
    return "node" + std::to_string(id) + ".example:8000";
}

raft::NodeId node_of_address(std::string_view raft_address) {
    return std::stoull(std::string(raft_address.substr(4)));
}

SimTransport::SimTransport(Network& network, Trace& trace, const Swarm& swarm, Random random,
                           TransportOptions options, Schedule schedule, OnSend on_send)
    : network_(network),
      trace_(trace),
      swarm_(swarm),
      random_(random),
      options_(std::move(options)),
      schedule_(std::move(schedule)),
      on_send_(std::move(on_send)) {}

void SimTransport::start(raft::TransportReceiver& receiver) {
    receiver_ = &receiver;
    for (const raft::NodeId peer : options_.peers) {
        add_link(peer, false);
    }
}

SimTransport::Link* SimTransport::link_to(raft::NodeId peer) {
    const auto found = links_.find(peer);
    return found == links_.end() ? nullptr : &found->second;
}

void SimTransport::add_link(raft::NodeId peer, bool is_guest) {
    Link& link = links_[peer];
    link.peer = peer;
    link.is_guest = is_guest;
    link.backoff_ns = backoff_min_ns;
    link.encoder = std::make_unique<raft::FrameEncoder>(frame_bytes_max);
    link.outbox = std::make_unique<raft::Outbox>(swarm_.outbox_bytes_max, 8192);
    schedule_(0, [this, peer] { dial(peer); });
}

// What is queued goes out first, as far as the socket takes it.
void SimTransport::end_link(Link& link) {
    if (link.connection != 0) {
        network_.close(link.connection, options_.node_id);
    }
    links_.erase(link.peer);
}

void SimTransport::dial(raft::NodeId peer) {
    Link* link = link_to(peer);
    if (link == nullptr || link->state != State::down) {
        return;
    }
    link->state = State::dialling;
    link->reply = std::make_unique<raft::HandshakeBuffer>(raft::HandshakeKind::hello_reply);
    link->connection = network_.dial(options_.node_id, peer);
    const raft::Hello hello{raft::protocol_version,
                            sim_cluster_id,
                            options_.node_id,
                            peer,
                            http_address_of(options_.node_id),
                            raft_address_of(options_.node_id),
                            options_.disk_id,
                            options_.replaced_disk_id};
    network_.send(link->connection, options_.node_id, raft::encode_hello(hello));
    schedule_(dial_timeout_ns, [this, peer, attempt = ++link->attempt] {
        Link* dialling = link_to(peer);
        if (dialling != nullptr && dialling->attempt == attempt &&
            dialling->state == State::dialling) {
            network_.close(dialling->connection, options_.node_id);
            dial_later(*dialling);
        }
    });
}

void SimTransport::dial_later(Link& link) {
    link.state = State::down;
    link.connection = 0;
    link.outbox->clear();
    const std::int64_t pause_ns = random_.between(link.backoff_ns / 2, link.backoff_ns);
    link.backoff_ns = std::min(2 * link.backoff_ns, backoff_max_ns);
    schedule_(pause_ns, [this, peer = link.peer] { dial(peer); });
}

void SimTransport::encode(Link& link, const raft::Message& message) {
    if (link.state != State::up ||
        link.encoder->encode(message, *link.outbox) != raft::EncodeOutcome::queued) {
        ++link.dropped_frames;
    }
}

void SimTransport::send(const raft::Message& message) {
    on_send_(message);
    const raft::NodeId to = raft::header_of(message).to;
    Link* link = link_to(to);
    if (link == nullptr) {
        return;
    }
    if (mischief_ && random_.chance(swarm_.lose_of_10000)) {
        trace_.sometimes("message lost");
        return;
    }
    const bool doubled = mischief_ && random_.chance(swarm_.duplicate_of_10000);
    const bool late = mischief_ && random_.chance(swarm_.reorder_of_10000);
    if (doubled || late) {
        trace_.sometimes(doubled ? "message doubled" : "message overtaken");
        schedule_(random_.around(20 * swarm_.delay_ns),
                  [this, to, connection = link->connection, message] {
                      Link* same = link_to(to);
                      if (same != nullptr && same->connection == connection) {
                          encode(*same, message);
                          flush();
                      }
                  });
    }
    if (!late) {
        encode(*link, message);
    }
}

bool SimTransport::send_application(raft::NodeId to, std::string_view bytes) {
    Link* link = link_to(to);
    return link != nullptr && link->state == State::up &&
           link->encoder->encode_application(bytes, *link->outbox) == raft::EncodeOutcome::queued;
}

void SimTransport::flush() {
    for (auto& [peer, link] : links_) {
        if (link.state != State::up) {
            continue;
        }
        while (!link.outbox->empty()) {
            std::array<iovec, 64> runs;
            const std::size_t room = network_.room(link.connection, options_.node_id);
            if (room == 0) {
                break;
            }
            const std::size_t count = link.outbox->gather(runs, room);
            std::string bytes;
            for (std::size_t i = 0; i < count; ++i) {
                bytes.append(static_cast<const char*>(runs[i].iov_base), runs[i].iov_len);
            }
            const std::size_t taken = network_.send(link.connection, options_.node_id, bytes);
            link.outbox->consume(taken);
        }
    }
}

void SimTransport::set_members(std::span<const raft::Member> members,
                               std::span<const raft::NodeId> removed) {
    members_.assign(members.begin(), members.end());
    removed_.assign(removed.begin(), removed.end());
    const auto is_member = [&](raft::NodeId id) {
        return std::any_of(members.begin(), members.end(),
                           [id](const raft::Member& member) { return member.id == id; });
    };
    // Who is no member but speaks to us is still answered.
    std::vector<raft::NodeId> ended;
    for (auto& [peer, link] : links_) {
        const bool is_removed = std::binary_search(removed.begin(), removed.end(), peer);
        link.is_guest = !is_member(peer);
        if (link.is_guest && (!hears(peer) || is_removed)) {
            ended.push_back(peer);
        }
    }
    for (const raft::NodeId peer : ended) {
        end_link(links_.at(peer));
    }
    for (const raft::Member& member : members) {
        if (member.id != options_.node_id && link_to(member.id) == nullptr &&
            !member.address.empty()) {
            require(member.address == raft_address_of(member.id), "node ", options_.node_id,
                    " was told the address ", member.address, " for node ", member.id);
            add_link(member.id, false);
        }
    }
    std::vector<ConnectionId> unwelcome;
    for (const auto& [connection, incoming] : incoming_) {
        if (incoming.accepted && raft::validate_hello(incoming.hello, expectation()) !=
                                     raft::HandshakeReason::accepted) {
            unwelcome.push_back(connection);
        }
    }
    // The receiver hears of it, as in the real one, within its own call.
    for (const ConnectionId connection : unwelcome) {
        const raft::NodeId peer = incoming_.at(connection).hello.from;
        incoming_.erase(connection);
        network_.close(connection, options_.node_id);
        on_lost(peer);
    }
}

std::vector<raft::PeerStatus> SimTransport::peers() const {
    std::vector<raft::PeerStatus> statuses;
    for (const auto& [peer, link] : links_) {
        raft::PeerStatus status;
        status.id = peer;
        status.raft_address = raft_address_of(peer);
        status.http_address = link.http_address;
        status.disk_id = link.disk_id;
        status.connected = link.state == State::up;
        status.heard = hears(peer);
        status.dropped_frames = link.dropped_frames;
        statuses.push_back(status);
    }
    return statuses;
}

bool SimTransport::hears(raft::NodeId peer) const {
    return std::any_of(incoming_.begin(), incoming_.end(), [peer](const auto& each) {
        return each.second.accepted && each.second.hello.from == peer;
    });
}

raft::HandshakeExpectation SimTransport::expectation() const {
    return {sim_cluster_id, options_.node_id, members_, removed_};
}

void SimTransport::on_dialled(ConnectionId connection) {
    incoming_[connection];
}

void SimTransport::on_bytes(ConnectionId connection, const std::string& bytes) {
    const auto incoming = incoming_.find(connection);
    if (incoming != incoming_.end()) {
        if (incoming->second.accepted) {
            on_frames(connection, bytes);
        } else {
            shake_hands(connection, bytes);
        }
        return;
    }
    for (auto& [peer, link] : links_) {
        if (link.connection == connection && link.state == State::dialling) {
            on_reply_bytes(link, bytes);
            return;
        }
    }
}

void SimTransport::on_reply_bytes(Link& link, const std::string& bytes) {
    std::string_view rest = bytes;
    raft::HandshakeStatus status = raft::HandshakeStatus::incomplete;
    while (!rest.empty() && status == raft::HandshakeStatus::incomplete) {
        const std::span<char> space = link.reply->space();
        const std::size_t part = std::min(space.size(), rest.size());
        std::copy_n(rest.data(), part, space.data());
        rest.remove_prefix(part);
        status = link.reply->commit(part);
    }
    if (status == raft::HandshakeStatus::incomplete) {
        return;
    }
    raft::HelloReply reply;
    require(status == raft::HandshakeStatus::complete &&
                raft::decode_hello_reply(link.reply->body(), reply),
            "a handshake's answer can't be read");
    on_reply(link.peer, reply);
}

void SimTransport::on_reply(raft::NodeId peer, const raft::HelloReply& reply) {
    Link& link = links_.at(peer);
    if (reply.reason != raft::HandshakeReason::accepted) {
        trace_.note(options_.node_id, "refused", peer, static_cast<std::uint64_t>(reply.reason));
        trace_.sometimes("handshake refused");
        network_.close(link.connection, options_.node_id);
        link.backoff_ns = backoff_max_ns;
        dial_later(link);
        if (reply.reason == raft::HandshakeReason::removed && !link.is_guest) {
            receiver_->on_removed(peer);
        }
        return;
    }
    link.state = State::up;
    link.backoff_ns = backoff_min_ns;
    link.http_address = reply.http_address;
    trace_.note(options_.node_id, "connected", peer);
    receiver_->on_peer_connected(peer);
}

void SimTransport::shake_hands(ConnectionId connection, const std::string& bytes) {
    Incoming& incoming = incoming_.at(connection);
    std::string_view rest = bytes;
    raft::HandshakeStatus status = raft::HandshakeStatus::incomplete;
    while (!rest.empty() && status == raft::HandshakeStatus::incomplete) {
        const std::span<char> space = incoming.handshake.space();
        const std::size_t part = std::min(space.size(), rest.size());
        std::copy_n(rest.data(), part, space.data());
        rest.remove_prefix(part);
        status = incoming.handshake.commit(part);
    }
    if (status == raft::HandshakeStatus::incomplete) {
        return;
    }
    require(status == raft::HandshakeStatus::complete &&
                raft::decode_hello(incoming.handshake.body(), incoming.hello),
            "a handshake can't be read");
    const raft::Hello hello = incoming.hello;
    raft::HelloReply reply;
    reply.reason = raft::validate_hello(hello, expectation());
    const bool welcome = reply.reason == raft::HandshakeReason::accepted;
    reply.http_address = welcome ? http_address_of(options_.node_id) : std::string();
    if (reply.reason == raft::HandshakeReason::readmission) {
        trace_.sometimes("damaged node asks to be taken in again");
        close_incoming_of(hello.from);
        receiver_->on_disk_replaced(hello.from, hello.disk_id);
    }
    network_.send(connection, options_.node_id, raft::encode_hello_reply(reply));
    if (!welcome) {
        incoming_.erase(connection);  // who dialled closes it
        return;
    }
    close_incoming_of(hello.from);
    incoming.accepted = true;
    incoming.reader = std::make_unique<raft::FrameReader>(frame_bytes_max);
    if (link_to(hello.from) == nullptr) {
        add_link(hello.from, true);
    }
    Link& link = *link_to(hello.from);
    link.http_address = hello.http_address;
    if (std::exchange(link.disk_id, hello.disk_id) != hello.disk_id) {
        receiver_->on_delivered();
    }
    if (!rest.empty()) {
        on_frames(connection, std::string(rest));
    }
}

void SimTransport::close_incoming_of(raft::NodeId peer) {
    for (const auto& [connection, incoming] : incoming_) {
        if (incoming.accepted && incoming.hello.from == peer) {
            const ConnectionId older = connection;
            incoming_.erase(older);
            network_.close(older, options_.node_id);
            on_lost(peer);
            return;
        }
    }
}

void SimTransport::on_lost(raft::NodeId peer) {
    Link* link = link_to(peer);
    if (link != nullptr && link->is_guest) {
        end_link(*link);
    }
    receiver_->on_peer_disconnected(peer);
}

void SimTransport::on_frames(ConnectionId connection, const std::string& bytes) {
    raft::FrameReader& reader = *incoming_.at(connection).reader;
    const raft::NodeId from = incoming_.at(connection).hello.from;
    std::string_view rest = bytes;
    while (!rest.empty()) {
        const std::span<char> space = reader.prepare();
        const std::size_t part = std::min(space.size(), rest.size());
        std::copy_n(rest.data(), part, space.data());
        rest.remove_prefix(part);
        reader.commit(part);
        raft::Frame frame;
        while (reader.next(frame)) {
            if (frame.header.type == raft::FrameType::application) {
                receiver_->on_application(from, frame.body);
            } else {
                raft::Message message;
                const raft::FrameFault fault =
                    raft::decode_message(frame, from, options_.node_id, message);
                require(fault == raft::FrameFault::none, "node ", from, " sent node ",
                        options_.node_id, " a bad message: ", raft::to_string(fault));
                trace_.note(options_.node_id, "message", message.index(),
                            raft::header_of(message).term);
                receiver_->on_message(std::move(message));
            }
            if (!incoming_.contains(connection)) {
                return;  // replaced, or not welcome any more
            }
        }
        require(reader.fault() == raft::FrameFault::none, "node ", from,
                " sent a bad frame: ", raft::to_string(reader.fault()));
    }
    if (const raft::FrameHeader* large = reader.large_frame_under_way()) {
        receiver_->on_receiving(from, large->type == raft::FrameType::raft);
    }
    receiver_->on_delivered();
}

void SimTransport::on_writable(ConnectionId /*connection*/) {
    flush();
}

void SimTransport::on_closed(ConnectionId connection) {
    const auto incoming = incoming_.find(connection);
    if (incoming != incoming_.end()) {
        const bool accepted = incoming->second.accepted;
        const raft::NodeId peer = incoming->second.hello.from;
        incoming_.erase(incoming);
        if (accepted) {
            on_lost(peer);
        }
        return;
    }
    for (auto& [peer, link] : links_) {
        if (link.connection != connection) {
            continue;
        }
        const bool was_up = link.state == State::up;
        trace_.note(options_.node_id, "connection lost", peer, was_up ? 1 : 0);
        const raft::NodeId id = peer;
        dial_later(link);
        if (was_up) {
            receiver_->on_peer_disconnected(id);
        }
        return;
    }
}

}  // namespace cairn::sim
