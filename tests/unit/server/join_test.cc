// Joining a cluster: what a member may answer, whoever it is, and when to ask again.
#include "server/program/join.h"

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>

namespace {

using namespace cairn;
using namespace cairn::server;
using Json = nlohmann::json;
using boost::asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

Json good_answer() {
    return {{"id", 4},
            {"raft", "d:4"},
            {"cluster",
             {{"cluster_id", "00000000000000ab"},
              {"members",
               {{{"id", 1}, {"raft", "a:1"}, {"role", "voter"}},
                {{"id", 4}, {"raft", "D:4"}, {"role", "learner"}}}}}}};
}

raft::Identity newcomer() {
    raft::Identity identity;
    identity.node_id = 4;
    identity.disk_id = 44;
    identity.joined = true;
    return identity;
}

std::string http(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
}

std::string problem(int status, const std::string& detail) {
    return http(status, Json{{"detail", detail}, {"status", status}}.dump());
}

// Answers one connection after the other, each as it is told, on a thread of its own.
class FakeMember {
 public:
    using Answer = std::function<void(tcp::socket&)>;

    explicit FakeMember(std::vector<Answer> answers)
        : answers_(std::move(answers)),
          acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
          thread_([this] { serve(); }) {}
    ~FakeMember() {
        ::shutdown(acceptor_.native_handle(), SHUT_RD);  // nobody comes any more: ends accept()
        thread_.join();
    }
    FakeMember(const FakeMember&) = delete;
    FakeMember& operator=(const FakeMember&) = delete;

    static Answer say(std::string bytes) {
        return [bytes = std::move(bytes)](tcp::socket& socket) {
            boost::system::error_code ignored;  // it may have heard enough
            boost::asio::write(socket, boost::asio::buffer(bytes), ignored);
        };
    }
    Address address() const { return {"127.0.0.1", acceptor_.local_endpoint().port()}; }
    int asked() const { return asked_; }
    std::vector<std::string> requests;  // look at them after the end

 private:
    void serve() {
        for (const Answer& answer : answers_) {
            tcp::socket socket(context_);
            boost::system::error_code error;
            acceptor_.accept(socket, error);
            if (error) {
                return;
            }
            ++asked_;
            std::string request;
            std::array<char, 4096> bytes;
            while (!error && request.find("}") == std::string::npos) {
                request.append(bytes.data(), socket.read_some(boost::asio::buffer(bytes), error));
            }
            requests.push_back(request);
            answer(socket);
            // Closed by the other side first, so that it reads all of the answer.
            socket.shutdown(tcp::socket::shutdown_send, error);
            while (!error) {
                socket.read_some(boost::asio::buffer(bytes), error);
            }
        }
    }

    std::vector<Answer> answers_;
    boost::asio::io_context context_;
    tcp::acceptor acceptor_;
    std::atomic<int> asked_{0};
    std::thread thread_;
};

ServeOptions options_for(const Address& member) {
    ServeOptions options;
    options.id = 4;
    options.raft = {"d", 4};
    options.raft_given = true;
    options.join = member;
    return options;
}

constexpr JoinPatience short_patience{milliseconds(20'000), milliseconds(10'000), milliseconds(5)};

struct Joined {
    std::optional<StartRefusal> refusal;
    raft::Identity identity = newcomer();
    int asked = 0;
};

Joined join(std::vector<FakeMember::Answer> answers,
            const JoinPatience& patience = short_patience) {
    FakeMember member(std::move(answers));
    Joined joined;
    joined.refusal = join_cluster(options_for(member.address()), joined.identity, patience);
    joined.asked = member.asked();
    return joined;
}

}  // namespace

TEST_CASE("join: what an answer says") {
    raft::Identity identity = newcomer();
    CHECK(parse_join_answer(good_answer().dump(), identity).empty());
    CHECK(identity.cluster_id == 0xab);
    CHECK(identity.node_id == 4);
    CHECK(identity.members ==
          std::vector<std::pair<raft::NodeId, std::string>>{{1, "a:1"}, {4, "d:4"}});
    CHECK(identity.founders.empty());
}

TEST_CASE("join: answers that are none leave everything as it was") {
    std::vector<std::string> bad{"",
                                 "null",
                                 "[]",
                                 "{}",
                                 "\xff",
                                 "{\"cluster\":{}}",
                                 "4",
                                 "<html>",
                                 std::string(200'000, '['),
                                 good_answer().dump() + "x"};
    const auto with = [&bad](const std::function<void(Json&)>& spoil) {
        Json answer = good_answer();
        spoil(answer["cluster"]);
        bad.push_back(answer.dump());
    };
    for (const Json& id : {Json("0"), Json(""), Json("x"), Json("-1"), Json("0xab"), Json(" ab"),
                           Json("abg"), Json("10000000000000000"), Json(171), Json()}) {
        with([&id](Json& cluster) { cluster["cluster_id"] = id; });
    }
    with([](Json& cluster) { cluster.erase("cluster_id"); });
    with([](Json& cluster) { cluster.erase("members"); });
    with([](Json& cluster) { cluster["members"] = Json::array(); });
    with([](Json& cluster) { cluster["members"] = Json::object(); });
    with([](Json& cluster) { cluster["members"].push_back(nullptr); });
    with([](Json& cluster) { cluster["members"].push_back(cluster["members"][0]); });  // twice
    with([](Json& cluster) {
        for (int id = 10; id < 1000; ++id) {
            cluster["members"].push_back({{"id", id}, {"raft", "x:1"}});
        }
    });
    for (const Json& id : {Json(0), Json(-1), Json("1"), Json(1.0), Json(), Json(1e300),
                           Json((std::uint64_t{1} << 63U) + 1)}) {
        with([&id](Json& cluster) { cluster["members"][0]["id"] = id; });
    }
    for (const Json& address : {Json(""), Json("a"), Json("a:0"), Json("a b:1"), Json(1), Json(),
                                Json("a\n:1"), Json(std::string(10'000, 'a') + ":1")}) {
        with([&address](Json& cluster) { cluster["members"][0]["raft"] = address; });
    }
    for (const std::string& body : bad) {
        CAPTURE(body.substr(0, 200));
        raft::Identity identity = newcomer();
        CHECK(parse_join_answer(body, identity) == "it isn't the answer of a member");
        CHECK(identity == newcomer());
    }
}

TEST_CASE("join: a voter with this id is another node, or this one without its data") {
    Json answer = good_answer();
    answer["cluster"]["members"][1]["role"] = "voter";
    raft::Identity identity = newcomer();
    CHECK(parse_join_answer(answer.dump(), identity).find("is a voter of this cluster already") !=
          std::string::npos);
    CHECK(identity == newcomer());
    for (const Json& role : {Json(5), Json(), Json::array(), Json("whatever")}) {
        answer["cluster"]["members"][1]["role"] = role;
        CHECK(parse_join_answer(answer.dump(), identity).empty());
    }
}

TEST_CASE("join: taken in at the first request, or found to be in already") {
    for (const int status : {201, 200}) {
        const Joined joined = join({FakeMember::say(http(status, good_answer().dump()))});
        CHECK_FALSE(joined.refusal.has_value());
        CHECK(joined.identity.cluster_id == 0xab);
        CHECK(joined.identity.members.size() == 2);
    }
    FakeMember member({FakeMember::say(http(201, good_answer().dump()))});
    raft::Identity identity = newcomer();
    CHECK_FALSE(join_cluster(options_for(member.address()), identity, short_patience));
    const std::string& request = member.requests.at(0);
    CHECK(request.find("POST /v1/cluster/members?") == 0);
    CHECK(request.find("Content-Type: application/json\r\n") != std::string::npos);
    CHECK(request.find("Host: " + member.address().text() + "\r\n") != std::string::npos);
    CHECK(Json::parse(request.substr(request.find("\r\n\r\n"))) ==
          Json{{"id", 4}, {"raft", "d:4"}});
}

TEST_CASE("join: what the cluster refuses is final, and said as one line") {
    Json voter = good_answer();
    voter["cluster"]["members"][1]["role"] = "voter";
    const std::vector<std::pair<std::string, std::string>> rows = {
        {problem(409, "taken\nby another\x1b[2J"), "taken\\nby another\\x1b[2J"},
        {problem(409, std::string(100'000, 'x')), std::string(500, 'x')},
        {http(409, "nonsense"), "status 409"},
        {http(400, ""), "status 400"},
        {http(404, "{\"detail\":5}"), "status 404"},
        {http(301, ""), "status 301"},
        {http(200, voter.dump()), "another data directory"},
        {http(200, "hello"), "it isn't the answer of a member"},
    };
    for (const auto& [answer, expected] : rows) {
        CAPTURE(expected.substr(0, 50));
        const Joined joined = join({FakeMember::say(answer)});
        REQUIRE(joined.refusal.has_value());
        CHECK(joined.refusal->exit_status == 2);
        CHECK(joined.refusal->reason.find("can't join by 127.0.0.1:") == 0);
        CHECK(joined.refusal->reason.find(expected) != std::string::npos);
        CHECK(joined.refusal->reason.size() < 800);
        CHECK(joined.refusal->reason.find('\n') == std::string::npos);
        CHECK(joined.identity == newcomer());
    }
}

TEST_CASE("join: what may be otherwise later is asked again") {
    const auto good = FakeMember::say(http(201, good_answer().dump()));
    const Joined joined = join({
        FakeMember::say(problem(503, "There is no leader.")),
        FakeMember::say(problem(504, "The deadline passed.")),
        FakeMember::say(problem(429, "Too much.")),
        FakeMember::say(http(500, "")),
        FakeMember::say(""),
        FakeMember::say("garbage\r\n\r\n"),
        FakeMember::say(http(201, good_answer().dump()).substr(0, 100)),  // cut off
        FakeMember::say("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')),
        good,
    });
    CHECK_FALSE(joined.refusal.has_value());
    CHECK(joined.asked == 9);
    CHECK(joined.identity.cluster_id == 0xab);
}

TEST_CASE("join: an answer without an end is not read to its end") {
    const auto endless = [](const std::string& head, const std::string& piece) {
        return [head, piece](tcp::socket& socket) {
            boost::system::error_code error;
            boost::asio::write(socket, boost::asio::buffer(head), error);
            for (int i = 0; i < 100'000 && !error; ++i) {
                boost::asio::write(socket, boost::asio::buffer(piece), error);
            }
            CHECK(error);  // it was closed long before
        };
    };
    const std::string kilobyte(1024, '[');
    const Joined joined = join({
        endless("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", kilobyte),
        endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400\r\n" + kilobyte + "\r\n"),
        endless("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", kilobyte),
        FakeMember::say(http(201, good_answer().dump())),
    });
    CHECK_FALSE(joined.refusal.has_value());
    CHECK(joined.asked == 4);
}

TEST_CASE("join: a member that doesn't answer is given up in time") {
    const auto begun = steady_clock::now();
    const JoinPatience patience{milliseconds(100), milliseconds(80), milliseconds(50)};
    const auto until_hung_up = [](tcp::socket& socket) {
        pollfd readable{socket.native_handle(), POLLIN, 0};
        CHECK(::poll(&readable, 1, 20'000) == 1);  // the bound only ends a test that has failed
    };
    const Joined joined = join({until_hung_up}, patience);
    REQUIRE(joined.refusal.has_value());
    CHECK(joined.refusal->exit_status == 1);
    CHECK(joined.asked == 1);
    CHECK(steady_clock::now() - begun < std::chrono::seconds(5));
}

TEST_CASE("join: nobody there: asked until patience ends, or somebody is") {
    boost::asio::io_context context;
    tcp::acceptor acceptor(context);
    acceptor.open(tcp::v4());
    acceptor.bind({boost::asio::ip::address_v4::loopback(), 0});  // and doesn't listen
    const Address nobody{"127.0.0.1", acceptor.local_endpoint().port()};
    raft::Identity identity = newcomer();
    const std::optional<StartRefusal> refusal = join_cluster(
        options_for(nobody), identity, {milliseconds(60), milliseconds(1000), milliseconds(20)});
    REQUIRE(refusal.has_value());
    CHECK(refusal->exit_status == 1);
    CHECK(refusal->reason.find("refused") != std::string::npos);

    std::thread late([&] {
        std::this_thread::sleep_for(milliseconds(50));  // the outcome is the same without
        acceptor.listen();
        tcp::socket socket(context);
        acceptor.accept(socket);
        std::array<char, 4096> bytes;
        socket.read_some(boost::asio::buffer(bytes));
        FakeMember::say(http(201, good_answer().dump()))(socket);
    });
    CHECK_FALSE(join_cluster(options_for(nobody), identity, short_patience).has_value());
    late.join();
    CHECK(identity.cluster_id == 0xab);
}
