#include "server/gateway/gateway.h"

#include <chrono>
#include <string_view>
#include <utility>

#include <boost/asio/dispatch.hpp>

#include "server/api/router.h"
#include "server/gateway/http_session.h"
#include "server/http/problem.h"

namespace cairn::server {
namespace {

// Why one more connection is too many, or empty.
std::string_view refusal_of(const GatewayState& state, const Socket& socket) {
    if (state.connections.size() >= state.options.connections_max) {
        return "There are as many connections as this node takes.";
    }
    boost::system::error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (!error && state.addresses.count(address_key(peer.address())) >=
                      state.options.connections_per_address_max) {
        return "There are as many connections from this address as this node takes.";
    }
    return {};
}

}  // namespace

struct Gateway::Sweeper {
    explicit Sweeper(std::shared_ptr<GatewayState> gateway_state)
        : state(std::move(gateway_state)), timer(state->executor) {}

    void sweep();
    void stop() {
        stopped = true;
        timer.cancel();
    }

    std::shared_ptr<GatewayState> state;
    Timer timer;
    TimePoint drain_deadline = TimePoint::max();
    bool stopped = false;
};

void Gateway::Sweeper::sweep() {
    state->now = std::chrono::steady_clock::now();
    const bool is_over = drain_deadline <= state->now;
    // close() only begins the end of a connection: the vector stays as it is.
    for (Connection* connection : state->connections) {
        if (is_over) {
            connection->close();
        } else if (connection->deadline() <= state->now) {
            connection->expire();
        }
    }
    state->statistics->buffered_bytes.set(state->buffered_bytes);
    state->hub->tick(state->now);
}

Gateway::Gateway(net::io_context& context, Backend& backend, const GatewayOptions& options)
    : state_(std::make_shared<GatewayState>(context.get_executor(), backend, options)),
      listener_(std::make_shared<HttpListener>(state_->executor)),
      sweeper_(std::make_shared<Sweeper>(state_)) {}

Gateway::~Gateway() {
    listener_->stop();
    sweeper_->stop();
    state_->draining = true;
    state_->on_empty = nullptr;
    for (Connection* connection : state_->connections) {
        connection->close();
    }
    state_->hub.reset();
}

std::string Gateway::listen(const std::string& host, std::uint16_t port) {
    std::string error = listener_->open(host, port);
    listens_ = error.empty();
    return error;
}

void Gateway::start(const std::vector<SocketTaker*>& others) {
    if (listens_) {
        std::vector<SocketTaker*> takers{this};
        takers.insert(takers.end(), others.begin(), others.end());
        listener_->start(std::move(takers));
    }
    spawn(state_->executor, sweep_loop(sweeper_), "gateway sweeper");
}

void Gateway::adopt(Socket socket) {
    net::dispatch(state_->executor, [state = state_, socket = std::move(socket)]() mutable {
        take(state, std::move(socket));
    });
}

void Gateway::take(const std::shared_ptr<GatewayState>& state, Socket socket) {
    if (state->draining) {
        return;  // closed by its destructor
    }
    const std::string_view refusal = refusal_of(*state, socket);
    if (refusal.empty()) {
        state->statistics->connections_accepted.add();
        HttpSession::start(state, std::move(socket));
        return;
    }
    state->statistics->connections_refused.add();
    state->statistics->count_problem(Code::overloaded);
    // Nothing is kept for it: what the socket doesn't take at once is not said.
    ProblemExtras extras;
    extras.outcome = Outcome::not_applied;
    extras.retry_after_s = 1;
    HttpResponse response = problem(Code::overloaded, refusal, extras);
    append_standard_headers(state->backend.view(), response);
    std::string bytes;
    append_response(response, false, bytes);
    boost::system::error_code ignored;  // it is closed in any case
    socket.non_blocking(true, ignored);
    socket.write_some(net::buffer(bytes), ignored);
    socket.shutdown(Socket::shutdown_both, ignored);
}

void Gateway::drain(std::function<void()> done) {
    listener_->stop();
    state_->draining = true;
    sweeper_->drain_deadline = std::chrono::steady_clock::now() +
                               std::chrono::milliseconds(state_->options.drain_timeout_ms);
    // Posted, since the destructor of the last connection is no place to end a gateway.
    state_->on_empty = [sweeper = sweeper_, executor = state_->executor, done = std::move(done)] {
        sweeper->stop();
        net::post(executor, done);
    };
    if (state_->connections.empty()) {
        state_->on_empty();
        return;
    }
    for (Connection* connection : state_->connections) {
        connection->drain();
    }
}

Task Gateway::sweep_loop(std::shared_ptr<Sweeper> sweeper) {
    const std::chrono::milliseconds interval(sweeper->state->options.sweep_interval_ms);
    while (!sweeper->stopped) {
        sweeper->sweep();
        sweeper->timer.expires_after(interval);
        co_await sweeper->timer.async_wait(token);
    }
}

}  // namespace cairn::server
