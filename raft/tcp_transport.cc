#include "raft/tcp_transport.h"

#include <boost/asio/io_context.hpp>

#include "raft/handshake.h"
#include "raft/peer_acceptor.h"
#include "raft/peer_link.h"
#include "raft/peer_socket.h"

namespace cairn::raft {

class TcpTransport::Impl final : public PeerLinkEvents, public PeerAcceptorEvents {
 public:
    Impl(boost::asio::io_context& context, TcpTransportOptions options, TransportReceiver& receiver)
        : context_(context), options_(std::move(options)), receiver_(receiver) {}

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
        const std::string raft_address = options_.raft_address.empty()
                                             ? address_text(options_.listen_host, acceptor_->port())
                                             : options_.raft_address;
        acceptor_->start();
        for (const PeerAddress& peer : options_.peers) {
            peers_.push_back(
                {std::make_shared<PeerLink>(context_, options_, peer, raft_address, *this), {}});
            peers_.back().link->start();
        }
        return {};
    }

    void stop() {
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
            status.heard = acceptor_->hears(status.id);
            status.dropped_frames = peer.link->dropped_frames();
            statuses.push_back(std::move(status));
        }
        return statuses;
    }

    void on_link_up(NodeId node, const std::string& http_address) override {
        learn_address(node, http_address);
        receiver_.on_peer_connected(node);
    }

    void on_link_down(NodeId node) override { receiver_.on_peer_disconnected(node); }

    void on_peer_heard(const Hello& hello) override {
        learn_address(hello.from, hello.http_address);
    }

    void on_peer_lost(NodeId node) override { receiver_.on_peer_disconnected(node); }

 private:
    struct Peer {
        std::shared_ptr<PeerLink> link;
        std::string http_address;
    };

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
    const TcpTransportOptions options_;
    TransportReceiver& receiver_;
    std::shared_ptr<PeerAcceptor> acceptor_;
    std::vector<Peer> peers_;
};

TcpTransport::TcpTransport(boost::asio::io_context& context, TcpTransportOptions options,
                           TransportReceiver& receiver)
    : impl_(std::make_unique<Impl>(context, std::move(options), receiver)) {}

TcpTransport::~TcpTransport() {
    impl_->stop();
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

std::vector<PeerStatus> TcpTransport::peers() const {
    return impl_->statuses();
}

}  // namespace cairn::raft
