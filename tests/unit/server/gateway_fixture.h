// A gateway on real loopback sockets with a node that the test plays, all on one io_context that
// the test runs: nothing happens but within wait_for(), which has a deadline and never sleeps.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <doctest/doctest.h>

#include "server/base/coroutine.h"
#include "server/gateway/gateway.h"
#include "tests/unit/server/played_node.h"

namespace cairn::server {

struct Answer {
    int status = 0;
    std::map<std::string, std::string> headers;
    std::string body;
};

// A client that receives all the time unless told not to.
class TestClient {
 public:
    TestClient(net::io_context& context, std::uint16_t port)
        : socket_(context.get_executor()), inbox_(std::make_shared<Inbox>()) {
        socket_.connect({net::ip::make_address("127.0.0.1"), port});
    }

    void receive() {
        inbox_->socket = std::make_shared<Socket>(std::move(socket_));
        spawn(inbox_->socket->get_executor(), receive_loop(inbox_), "test client");
    }

    // Sends as much as the sockets' buffers take; the rest is lost, so keep it small.
    void send(std::string_view bytes) {
        boost::system::error_code ignored;  // a closed connection shows in what comes back
        net::write(socket(), net::buffer(bytes), ignored);
    }

    // Sends all of it, in the background.
    void send_all(std::string bytes) {
        spawn(socket().get_executor(), send_loop(inbox_, std::move(bytes)), "test client");
    }

    Socket& socket() { return inbox_->socket ? *inbox_->socket : socket_; }
    std::string& received() { return inbox_->received; }
    bool has_ended() const { return inbox_->has_ended; }
    bool was_reset() const { return inbox_->was_reset; }

    // All complete responses received so far.
    const std::vector<Answer>& answers() const {
        Inbox& inbox = *inbox_;
        while (true) {
            std::string_view rest = inbox.received;
            rest.remove_prefix(inbox.parsed_bytes);
            const std::size_t end = rest.find("\r\n\r\n");
            if (end == std::string_view::npos) {
                return inbox.answers;
            }
            Answer answer = parse_head(rest.substr(0, end + 2));
            const auto length = answer.headers.find("content-length");
            const std::size_t body =
                length == answer.headers.end() ? 0 : std::stoul(length->second);
            if (rest.size() < end + 4 + body) {
                return inbox.answers;
            }
            answer.body = rest.substr(end + 4, body);
            inbox.parsed_bytes += end + 4 + body;
            inbox.answers.push_back(std::move(answer));
        }
    }

 private:
    struct Inbox {
        std::shared_ptr<Socket> socket;
        std::string received;
        std::size_t parsed_bytes = 0;
        std::vector<Answer> answers;
        bool has_ended = false;
        bool was_reset = false;
    };

    static Task receive_loop(std::shared_ptr<Inbox> inbox) {
        std::string chunk(16 * 1024, '\0');
        while (true) {
            const auto [error, bytes] =
                co_await inbox->socket->async_read_some(net::buffer(chunk), token);
            if (error) {
                inbox->has_ended = true;
                inbox->was_reset = error != net::error::eof;
                co_return;
            }
            inbox->received.append(chunk, 0, bytes);
        }
    }

    static Task send_loop(std::shared_ptr<Inbox> inbox, std::string bytes) {
        co_await net::async_write(*inbox->socket, net::buffer(bytes), token);
    }

    static Answer parse_head(std::string_view head) {
        Answer answer;
        answer.status = std::stoi(std::string(head.substr(9, 3)));
        head.remove_prefix(head.find("\r\n") + 2);
        while (!head.empty()) {
            const std::string_view line = head.substr(0, head.find("\r\n"));
            head.remove_prefix(line.size() + 2);
            const std::size_t colon = line.find(": ");
            std::string name(line.substr(0, colon));
            for (char& c : name) {
                c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            }
            answer.headers[name] = line.substr(colon + 2);
        }
        return answer;
    }

    Socket socket_;
    std::shared_ptr<Inbox> inbox_;
};

inline GatewayOptions quick_options() {
    GatewayOptions options;
    options.sweep_interval_ms = 10;
    return options;
}

struct GatewayFixture {
    explicit GatewayFixture(const GatewayOptions& options = quick_options())
        : gateway(std::make_unique<Gateway>(context, node, options)) {
        node.node_view.node = 1;
        node.node_view.leader = 1;
        REQUIRE(gateway->listen("127.0.0.1", 0) == "");
        gateway->start();
    }

    TestClient connect(bool receiving = true) {
        TestClient client(context, gateway->port());
        if (receiving) {
            client.receive();
        }
        return client;
    }

    // Runs everything until it is so; fails the test when it takes too long.
    void wait_for(const std::function<bool()>& is_so) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!is_so() && std::chrono::steady_clock::now() < deadline) {
            context.run_one_for(std::chrono::milliseconds(100));
        }
        REQUIRE(is_so());
    }

    const std::vector<Answer>& wait_for_answers(TestClient& client, std::size_t count) {
        wait_for([&] { return client.answers().size() >= count; });
        REQUIRE(client.answers().size() == count);
        return client.answers();
    }

    Answer wait_for_answer(TestClient& client) { return wait_for_answers(client, 1).front(); }

    net::io_context context{1};
    PlayedNode node;
    std::unique_ptr<Gateway> gateway;
};

}  // namespace cairn::server
