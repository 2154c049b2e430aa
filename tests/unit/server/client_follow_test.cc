// Following a stream over nodes that end it, against servers that say what they are told.
#include <array>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/client/follow.h"

namespace {

using namespace cairn::client;
using boost::asio::ip::tcp;

const std::string head =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& text) {
    std::array<char, 16> size;
    std::snprintf(size.data(), size.size(), "%zx\r\n", text.size());
    return size.data() + text + "\r\n";
}

std::string value(int index) {
    const std::string text = std::to_string(index);
    return R"({"type":"value","name":"a","value":"v)" + text + R"(","index":)" + text +
           R"(,"cursor":")" + text + "\"}\n";
}

// Gives each connection the next answer, and closes it; keeps the first lines of the requests.
class FakeNode {
 public:
    explicit FakeNode(std::vector<std::string> answers)
        : answers_(std::move(answers)),
          acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
          thread_([this] { serve(); }) {}
    ~FakeNode() { end(); }
    FakeNode(const FakeNode&) = delete;
    FakeNode& operator=(const FakeNode&) = delete;

    cairn::server::Address address() const {
        return {"127.0.0.1", acceptor_.local_endpoint().port()};
    }
    std::vector<std::string> asked() {
        end();
        return asked_;
    }

 private:
    void end() {
        if (thread_.joinable()) {
            ::shutdown(acceptor_.native_handle(), SHUT_RD);  // ends accept()
            thread_.join();
        }
    }
    void serve() {
        for (const std::string& answer : answers_) {
            tcp::socket socket(context_);
            boost::system::error_code error;
            acceptor_.accept(socket, error);
            if (error) {
                return;
            }
            std::string request;
            std::array<char, 4096> bytes;
            while (!error && request.find("\r\n\r\n") == std::string::npos) {
                request.append(bytes.data(), socket.read_some(boost::asio::buffer(bytes), error));
            }
            asked_.push_back(request.substr(4, request.find(" HTTP/1.1") - 4));
            boost::asio::write(socket, boost::asio::buffer(answer), error);
            socket.shutdown(tcp::socket::shutdown_send, error);
            while (!error) {
                socket.read_some(boost::asio::buffer(bytes), error);
            }
        }
    }

    std::vector<std::string> answers_;
    boost::asio::io_context context_;
    tcp::acceptor acceptor_;
    std::vector<std::string> asked_;
    std::thread thread_;
};

// What `work` prints on standard output.
std::string printed(const std::function<void()>& work) {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    std::fflush(stdout);
    const int kept = ::dup(STDOUT_FILENO);
    ::dup2(::fileno(file), STDOUT_FILENO);
    work();
    std::fflush(stdout);
    ::dup2(kept, STDOUT_FILENO);
    ::close(kept);
    std::string text;
    std::rewind(file);
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
        text += static_cast<char>(c);
    }
    std::fclose(file);
    return text;
}

Options watch(std::uint64_t count) {
    Options options;
    options.verb = Verb::watch;
    options.name = "a";
    options.limit = count;
    options.timeout = std::chrono::milliseconds(20'000);
    return options;
}

}  // namespace

TEST_CASE("client: a stream goes on behind the last whole message, wherever it was cut") {
    const std::string progress = "{\"type\":\"progress\",\"cursor\":\"9\"}\n";
    FakeNode first({
        head + chunk(value(7)) + chunk(value(8) + value(9).substr(0, 20)),  // within a line
        head + chunk(value(9)) + chunk(progress) + "0\r\n\r\n",             // to its end
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        head + chunk(value(11).substr(0, 5)) + chunk(value(11).substr(5) + value(12)),
    });
    FakeNode second({
        "",
        head + chunk(value(10)) + "nonsense",
        head + chunk("this is no message\n") + chunk(value(99)),
    });
    Options options = watch(5);
    options.json = true;
    options.endpoints = {first.address(), second.address()};
    int status = -1;
    const std::string text = printed([&] {
        Endpoints endpoints(options.endpoints, options.timeout);
        status = follow(options, endpoints);
    });
    CHECK(status == exit_done);
    CHECK(text == value(7) + value(8) + value(9) + progress + value(10) + value(11));
    const auto cursors = [](const std::vector<std::string>& targets) {
        std::string all;
        for (const std::string& target : targets) {
            CHECK(target.starts_with("/v1/watch/a"));
            all += target.substr(11) + " ";
        }
        return all;
    };
    CHECK(cursors(first.asked()) == " ?cursor=8 ?cursor=10 ?cursor=10 ");
    CHECK(cursors(second.asked()) == "?cursor=8 ?cursor=9 ?cursor=10 ");
}

TEST_CASE("client: a stream that is refused is not asked for again") {
    FakeNode node({"HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\n{\"detail\":\"x\"}"});
    Options options = watch(0);
    options.endpoints = {node.address()};
    Endpoints endpoints(options.endpoints, options.timeout);
    CHECK(follow(options, endpoints) == exit_refused);
    CHECK(node.asked().size() == 1);
}

TEST_CASE("client: a stream that nobody goes on with is given up") {
    FakeNode node({head + chunk(value(7))});
    Options options = watch(0);
    options.endpoints = {node.address()};
    options.timeout = std::chrono::milliseconds(300);
    int status = -1;
    const std::string text = printed([&] {
        Endpoints endpoints(options.endpoints, options.timeout);
        status = follow(options, endpoints);
    });
    CHECK(status == exit_unavailable);
    CHECK(text == "7\tvalue\ta\tv7\n");
}
