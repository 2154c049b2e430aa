#include "raft/peers/tcp_transport.h"

#include <algorithm>

#include <boost/asio/io_context.hpp>

#include "raft/peers/handshake.h"
#include "raft/peers/peer_acceptor.h"
#include "raft/peers/peer_link.h"
#include "raft/peers/peer_socket.h"

namespace cairn::raft {

namespace {

constexpr int guests_max = 16;

}  // namespace

class TcpTransport::Impl final : public PeerLinkEvents, public PeerAcceptorEvents {
 public:
    Impl(boost::asio::io_context& context, TcpTransportOptions options, TransportReceiver& receiver)
        : context_(context), options_(std::move(options)), receiver_(receiver) {}

    void set_http_address(const std::string& address) { options_.http_address = address; }

    std::string start() {
        if (!is_handshake_address(options_.http_address) ||
            !is_handshake_address(options_.raft_address)) {
            return "can't tell peers our address: it is too long or has unprintable characters";
        }
        acceptor_ = std::make_shared<PeerAcceptor>(context_, options_, *this, receiver_);
        std::string error = acceptor_->listen();
        if (!error.empty()) {
            acceptor_.reset();
            return error;
        }
        raft_address_ = options_.raft_address.empty()
                            ? address_text(options_.listen_host, acceptor_->port())
                            : options_.raft_address;
        acceptor_->start();
        for (const PeerAddress& peer : options_.peers) {
            add(peer, false);
        }
        return {};
    }

    void set_members(std::span<const Member> members, std::span<const NodeId> removed) {
        if (acceptor_ == nullptr || stopped_) {
            return;
        }
        std::vector<Peer> kept;
        int guests = 0;
        for (Peer& peer : peers_) {
            const NodeId node = peer.link->peer();
            const Member* member = find(members, node);
            const bool may_be_guest = member == nullptr && acceptor_->hello_of(node) != nullptr &&
                                      guests < guests_max &&
                                      !std::binary_search(removed.begin(), removed.end(), node);
            if (may_be_guest ||
                (member != nullptr && member->address == peer.link->peer_address())) {
                peer.is_guest = may_be_guest;
                guests += may_be_guest ? 1 : 0;
                kept.push_back(std::move(peer));
            } else {
                peer.link->stop();
            }
        }
        peers_ = std::move(kept);
        for (const Member& member : members) {
            const std::optional<PeerAddress> address =
                parse_peer_address(member.id, member.address);
            if (member.id != options_.node_id && find(member.id) == nullptr && address) {
                add(*address, false);
            }
        }
        acceptor_->set_members(members, removed);
    }

    void stop() {
        stopped_ = true;
        if (acceptor_ != nullptr) {
            acceptor_->stop();
        }
        for (const Peer& peer : peers_) {
            peer.link->stop();
        }
    }

    PeerLink* link_to(NodeId node) {
        const Peer* peer = find(node);
        return peer == nullptr ? nullptr : peer->link.get();
    }

    void flush() {
        for (const Peer& peer : peers_) {
            peer.link->flush();
        }
    }

    std::uint16_t listen_port() const { return acceptor_ == nullptr ? 0 : acceptor_->port(); }

    std::vector<PeerStatus> statuses() const {
        std::vector<PeerStatus> statuses;
        for (const Peer& peer : peers_) {
            PeerStatus status;
            status.id = peer.link->peer();
            status.raft_address = peer.link->peer_address();
            status.http_address = peer.http_address;
            status.connected = peer.link->is_up();
            status.heard = acceptor_->hello_of(status.id) != nullptr;
            status.dropped_frames = peer.link->dropped_frames();
            status.disk_id = peer.disk_id;
            status.sent_bytes = peer.link->sent_bytes();
            status.received_bytes = peer.received_bytes;
            status.queued_bytes = peer.link->outbox().bytes();
            status.queued_frames = peer.link->outbox().frames();
            statuses.push_back(std::move(status));
        }
        return statuses;
    }

    void on_link_up(NodeId node, const std::string& http_address) override {
        learn_address(node, http_address);
        receiver_.on_peer_connected(node);
    }

    void on_link_down(NodeId node) override { receiver_.on_peer_disconnected(node); }

    // Who isn't a member has no say in it.
    void on_link_refused_as_removed(NodeId node) override {
        const Peer* peer = find(node);
        if (peer != nullptr && !peer->is_guest) {
            receiver_.on_removed(node);
        }
    }

    void on_peer_heard(const Hello& hello) override {
        if (find(hello.from) == nullptr) {
            greet_guest(hello);
        }
        learn_address(hello.from, hello.http_address);
        Peer* peer = find(hello.from);
        if (peer != nullptr && peer->disk_id != hello.disk_id) {
            peer->disk_id = hello.disk_id;
            receiver_.on_delivered();  // something to act on
        }
    }

    void on_bytes_received(NodeId node, std::size_t bytes) override {
        if (Peer* peer = find(node)) {
            peer->received_bytes += bytes;
        }
    }

    void on_peer_lost(NodeId node) override {
        const auto guest = std::find_if(peers_.begin(), peers_.end(), [node](const Peer& peer) {
            return peer.is_guest && peer.link->peer() == node;
        });
        if (guest != peers_.end()) {
            guest->link->stop();
            peers_.erase(guest);
        }
        receiver_.on_peer_disconnected(node);
    }

 private:
    struct Peer {
        std::shared_ptr<PeerLink> link;
        std::string http_address;
        std::uint64_t disk_id = 0;
        std::uint64_t received_bytes = 0;
        bool is_guest = false;  // not a member that this node knows
    };

    static const Member* find(std::span<const Member> members, NodeId node) {
        const auto found = std::find_if(members.begin(), members.end(),
                                        [node](const Member& member) { return member.id == node; });
        return found == members.end() ? nullptr : &*found;
    }

    void add(const PeerAddress& address, bool is_guest) {
        Peer peer;
        peer.link = std::make_shared<PeerLink>(context_, options_, address, raft_address_, *this);
        peer.is_guest = is_guest;
        if (const Hello* hello = acceptor_->hello_of(address.id)) {  // heard before it was known
            peer.http_address = hello->http_address;
            peer.disk_id = hello->disk_id;
        }
        peer.link->start();
        peers_.push_back(std::move(peer));
    }

    void greet_guest(const Hello& hello) {
        const auto guests = std::count_if(peers_.begin(), peers_.end(),
                                          [](const Peer& peer) { return peer.is_guest; });
        const std::optional<PeerAddress> address =
            parse_peer_address(hello.from, hello.raft_address);
        if (address && guests < guests_max) {
            add(*address, true);
        }
    }

    Peer* find(NodeId node) {
        for (Peer& peer : peers_) {
            if (peer.link->peer() == node) {
                return &peer;
            }
        }
        return nullptr;
    }

    void learn_address(NodeId node, const std::string& http_address) {
        Peer* peer = find(node);
        if (peer != nullptr && !http_address.empty()) {
            peer->http_address = http_address;
        }
    }

    boost::asio::io_context& context_;
    TcpTransportOptions options_;
    TransportReceiver& receiver_;
    std::shared_ptr<PeerAcceptor> acceptor_;
    std::string raft_address_;
    std::vector<Peer> peers_;
    bool stopped_ = false;
};

TcpTransport::TcpTransport(boost::asio::io_context& context, TcpTransportOptions options,
                           TransportReceiver& receiver)
    : impl_(std::make_unique<Impl>(context, std::move(options), receiver)) {}

TcpTransport::~TcpTransport() {
    impl_->stop();
}

void TcpTransport::set_http_address(const std::string& address) {
    impl_->set_http_address(address);
}

std::string TcpTransport::start() {
    return impl_->start();
}

void TcpTransport::stop() {
    impl_->stop();
}

void TcpTransport::send(const Message& message) {
    if (PeerLink* link = impl_->link_to(header_of(message).to)) {
        link->send(message);
    }
}

bool TcpTransport::send_application(NodeId to, std::string_view bytes) {
    PeerLink* link = impl_->link_to(to);
    return link != nullptr && link->send_application(bytes);
}

void TcpTransport::flush() {
    impl_->flush();
}

std::uint16_t TcpTransport::listen_port() const {
    return impl_->listen_port();
}

void TcpTransport::set_members(std::span<const Member> members, std::span<const NodeId> removed) {
    impl_->set_members(members, removed);
}

std::vector<PeerStatus> TcpTransport::peers() const {
    return impl_->statuses();
}

}  // namespace cairn::raft
