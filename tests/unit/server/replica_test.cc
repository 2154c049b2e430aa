#include "server/node/replica.h"

#include <algorithm>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "tests/unit/server/replica_rig.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;

TEST_CASE("replica: a write is answered once it is durable, not before") {
    Rig rig;
    rig.replica.submit(make_write(set_command("n", "v")), rig.port);
    CHECK(rig.turn_wanted);
    rig.replica.turn();
    REQUIRE(rig.storage.batches.size() == 1);
    rig.replica.turn();
    CHECK(rig.port.done.empty());
    const auto written = std::exchange(rig.storage.batches, {});
    rig.replica.on_persisted(written.back().sequence);
    rig.replica.turn();
    CHECK(rig.port.only_failure() == Failure::none);
    const Operation& operation = *rig.port.done[0];
    CHECK(operation.output.kind == fsm::Output::Kind::set);
    CHECK(operation.output.created);
    CHECK(operation.served_index == operation.output.index);
    CHECK(rig.view.applied_index == operation.served_index);
    CHECK(rig.view.leader == 1);
    CHECK(rig.port.flushes > 0);
}

TEST_CASE("replica: a value goes when its ttl has passed on an idle node, and never before") {
    Rig rig;
    rig.write(set_command("n", "v", 500 * ms));
    const std::int64_t written_ns = rig.clock.steady;
    while (rig.clock.steady < written_ns + 500 * ms - 10 * ms) {
        rig.pass(10 * ms);
        REQUIRE(rig.replica.state_machine().get("n") != nullptr);
    }
    const raft::Index before = rig.replica.state_machine().applied_index();
    rig.pass(20 * ms);
    CHECK(rig.replica.state_machine().get("n") == nullptr);
    CHECK(rig.replica.state_machine().applied_index() == before + 1);
    rig.pass(5000 * ms);  // then nothing more is said
    CHECK(rig.replica.state_machine().applied_index() == before + 1);
}

TEST_CASE("replica: the wall clock may jump: people's time follows, deadlines don't") {
    Rig rig;
    rig.write(set_command("n", "v", 60'000 * ms));
    const std::int64_t offset_ns = rig.replica.state_machine().utc_offset_ns();
    CHECK(offset_ns != 0);
    const std::int64_t deadline_ns = rig.replica.state_machine().get("n")->deadline_ns;
    rig.clock.utc += 400 * ms;  // within what is tolerated
    rig.pass(2000 * ms);
    CHECK(rig.replica.state_machine().utc_offset_ns() == offset_ns);
    rig.clock.utc += 3'600'000 * ms;
    rig.pass(20 * ms);
    CHECK(rig.replica.state_machine().utc_offset_ns() == offset_ns + 3'600'400 * ms);
    REQUIRE(rig.replica.state_machine().get("n") != nullptr);
    CHECK(rig.replica.state_machine().get("n")->deadline_ns == deadline_ns);
}

TEST_CASE("replica: reads of values, prefixes and the cluster; min_index waits, then times out") {
    Rig rig;
    rig.write(set_command("a1", "x"));
    rig.write(set_command("a2", "y"));
    CHECK(rig.get("a1") == fsm::Status::ok);
    CHECK(rig.get("b") == fsm::Status::not_found);

    auto list = std::make_shared<Operation>();
    list->kind = Operation::Kind::list;
    list->name = "a";
    list->limit = 1;
    rig.replica.submit(list, rig.port);
    const auto status = rig.submit(Operation::Kind::cluster_status);
    rig.settle();
    REQUIRE(list->items.size() == 1);
    CHECK(list->items[0].name == "a1");
    CHECK(list->more);
    CHECK(status->cluster.ready);
    CHECK(status->cluster.leader == 1);
    CHECK(status->cluster.members.size() == 1);

    rig.port.done.clear();
    auto waiting = std::make_shared<Operation>();
    waiting->name = "a3";
    waiting->min_index = rig.replica.state_machine().applied_index() + 1;
    waiting->consistency = Consistency::local;
    auto late = std::make_shared<Operation>(*waiting);
    late->min_index += 100;
    late->timeout_ms = 300;
    rig.replica.submit(waiting, rig.port);
    rig.replica.submit(late, rig.port);
    rig.settle();
    CHECK(rig.port.done.empty());
    rig.write(set_command("a3", "z"));
    REQUIRE(rig.port.done.size() == 2);  // the write, then the read
    CHECK(rig.port.done[1] == waiting);
    CHECK(waiting->output.status == fsm::Status::ok);
    rig.pass(400 * ms);
    REQUIRE(rig.port.done.size() == 3);
    CHECK(late->failure == Failure::timeout);
}

TEST_CASE("replica: a long poll is answered when its value changes, else unchanged at its end") {
    Rig rig;
    rig.write(set_command("a", "1"));
    const fsm::Index index = rig.replica.state_machine().applied_index();
    // What differs is answered at once.
    const auto other = rig.poll("a", index - 1, 1000);
    const auto set = rig.poll("a", 0, 1000);
    const auto gone = rig.poll("b", 7, 1000);
    CHECK(rig.is_done(other));
    CHECK_FALSE(other->unchanged);
    CHECK(*set->output.value->bytes == "1");
    CHECK(gone->output.status == fsm::Status::not_found);
    CHECK_FALSE(gone->unchanged);

    const auto first = rig.poll("a", index, 1000);
    const auto second = rig.poll("a", index, 5000);
    const auto absent = rig.poll("b", 0, 5000);
    const auto late = rig.poll("c", 0, 300);
    rig.write(set_command("aa", "x"));
    rig.pass(280 * ms);
    for (const auto& operation : {first, second, absent, late}) {
        CHECK_FALSE(rig.is_done(operation));
    }
    rig.pass(50 * ms);
    CHECK(rig.is_done(late));
    CHECK(late->unchanged);
    CHECK(late->output.status == fsm::Status::not_found);
    rig.write(set_command("a", "2"));
    for (const auto& operation : {first, second}) {
        CHECK(rig.is_done(operation));
        CHECK_FALSE(operation->unchanged);
        CHECK(*operation->output.value->bytes == "2");
        CHECK(operation->served_index == operation->output.index);
    }
    CHECK_FALSE(rig.is_done(absent));
    rig.write(set_command("b", "x", 100 * ms));
    CHECK(rig.is_done(absent));
    // One that expires is deleted.
    const auto expiring = rig.poll("b", absent->output.index, 5000);
    CHECK_FALSE(rig.is_done(expiring));
    rig.pass(200 * ms);
    CHECK(rig.is_done(expiring));
    CHECK(expiring->output.status == fsm::Status::not_found);
    CHECK_FALSE(expiring->unchanged);
    rig.pass(10'000 * ms);
    CHECK(rig.port.done.size() == 12);  // each once, and four writes
}

TEST_CASE("replica: a list at an index is that of then, waits for what is to come, or is too old") {
    Rig rig({1}, {3, 1U << 20U});
    const auto list_at = [&](fsm::Index at) {
        auto list = std::make_shared<Operation>();
        list->kind = Operation::Kind::list;
        list->limit = 10;
        list->at_index = at;
        rig.replica.submit(list, rig.port);
        rig.settle();
        return list;
    };
    rig.write(set_command("a", "1"));
    rig.write(set_command("b", "1"));
    const fsm::Index then = rig.replica.state_machine().applied_index();
    rig.write(set_command("a", "2"));
    rig.write(set_command("c", "1"));
    const auto past = list_at(then);
    REQUIRE(past->items.size() == 2);
    CHECK(*past->items[0].value.bytes == "1");
    CHECK(past->served_index == then);
    CHECK_FALSE(past->too_old);
    rig.write(set_command("d", "1"));
    CHECK_FALSE(list_at(then)->too_old);
    const auto future = list_at(rig.replica.state_machine().applied_index() + 1);
    CHECK_FALSE(rig.is_done(future));
    rig.write(set_command("e", "1"));
    CHECK(rig.is_done(future));
    CHECK(future->items.size() == 5);
    CHECK(list_at(then)->too_old);
}

TEST_CASE("replica: what is as before at the end of a turn is not new to a long poll") {
    Rig rig;
    const auto absent = rig.poll("a", 0, 60'000);
    std::string remove;
    fsm::encode_delete("a", 0, remove);
    rig.replica.submit(make_write(set_command("a", "1")), rig.port);
    rig.replica.submit(make_write(remove), rig.port);
    rig.settle();
    REQUIRE(rig.port.done.size() == 2);
    CHECK_FALSE(rig.is_done(absent));
    rig.write(set_command("a", "2"));
    CHECK(rig.is_done(absent));
}

TEST_CASE("replica: long polls can be ended, and are bounded") {
    Rig rig;
    const auto end = [&](const std::shared_ptr<Operation>& which, Failure failure) {
        auto operation = std::make_shared<Operation>();
        operation->kind = Operation::Kind::end_wait;
        operation->failure = failure;
        operation->ended = which;
        rig.replica.submit(operation, rig.port);
        rig.settle();
    };
    const auto first = rig.poll("a", 0, 60'000);
    const auto second = rig.poll("a", 0, 60'000);
    end(first, Failure::none);
    CHECK(rig.is_done(first));
    CHECK(first->unchanged);
    CHECK_FALSE(rig.is_done(second));
    end(second, Failure::draining);
    CHECK(second->failure == Failure::draining);
    end(first, Failure::none);  // crossed its answer
    CHECK(rig.port.done.size() == 2);
    // One that isn't confirmed yet is answered when it is.
    auto early = std::make_shared<Operation>();
    early->name = "a";
    early->wait_ms = 60'000;
    rig.replica.submit(early, rig.port);
    end(early, Failure::none);
    CHECK(rig.is_done(early));
    CHECK(early->unchanged);

    rig.port.done.clear();
    for (int i = 0; i < 10'000; ++i) {
        rig.poll("n" + std::to_string(i % 100), 0, 60'000);
    }
    CHECK(rig.port.done.empty());
    CHECK(rig.poll("a", 0, 1000)->failure == Failure::overloaded);
    rig.replica.stop();
    CHECK(rig.port.done.size() == 10'001);
    CHECK(std::count_if(rig.port.done.begin(), rig.port.done.end(), [](const auto& operation) {
              return operation->failure == Failure::draining;
          }) == 10'000);
}

TEST_CASE("replica: a node that gets no answer from a leader says that it isn't ready") {
    Rig rig({1, 2, 3});
    const auto ask = [&] {
        auto question = std::make_shared<Operation>();
        question->kind = Operation::Kind::cluster_status;
        question->consistency = Consistency::linearizable;
        question->timeout_ms = 50;
        rig.replica.submit(question, rig.port);
        rig.pass(200 * ms);
        REQUIRE(rig.port.done.size() == 1);
        rig.port.done.clear();
        CHECK(question->failure == Failure::none);
        CHECK_FALSE(question->cluster.ready);
        return question;
    };
    CHECK(ask()->cluster.not_ready_reason == "There is no leader, or it can't be reached.");
    // One that is heard, and doesn't answer.
    raft::AppendEntries heartbeat;
    heartbeat.header = {rig.replica.node().core().options().group, 2, 1, 1};
    rig.replica.on_message(heartbeat);
    rig.settle();
    CHECK(ask()->cluster.not_ready_reason == "The leader did not answer in time.");
}

TEST_CASE("replica: a stream begins with what is, or goes on where it was, or learns of a gap") {
    fsm::HistoryOptions history;
    history.events_max = 2;
    Rig rig({1}, history);
    rig.write(set_command("a", "1"));
    CHECK(rig.port.batches.empty());  // nobody listens
    const auto fresh = rig.open(std::nullopt);
    REQUIRE(rig.port.opens.size() == 1);
    CHECK(fresh->failure == Failure::none);
    REQUIRE(fresh->present.size() == 1);
    CHECK(fresh->applied_index == rig.replica.state_machine().applied_index());
    rig.port.batches.clear();

    const std::uint64_t place = fresh->applied_index;
    rig.write(set_command("b", "2"));
    REQUIRE(rig.port.batches.size() == 1);
    REQUIRE(rig.port.batches[0]->events.size() == 1);
    CHECK(rig.port.batches[0]->events[0].name == "b");
    CHECK(rig.port.batches[0]->applied_index == place + 1);

    const auto resumed = rig.open(place);
    CHECK_FALSE(resumed->gap);
    REQUIRE(resumed->replay.size() == 1);
    CHECK(resumed->replay[0].name == "b");
    CHECK(resumed->present.empty());

    rig.write(set_command("c", "3"));
    rig.write(set_command("d", "4"));
    const auto behind = rig.open(place);
    CHECK(behind->gap);
    CHECK(behind->replay.empty());
    CHECK(behind->present.size() == 4);
}

TEST_CASE("replica: openings that list many values take turns; one that tells none lists none") {
    Rig rig;
    for (int i = 0; i < 15'000; ++i) {
        rig.replica.submit(make_write(set_command("a/" + std::to_string(i), "1")), rig.port);
    }
    rig.settle();
    std::vector<std::shared_ptr<StreamOpen>> opens;
    const auto open = [&](bool wants_present) {
        auto stream = std::make_shared<StreamOpen>();
        stream->name = "a/";
        stream->prefix = true;
        stream->wants_present = wants_present;
        rig.replica.open_stream(stream, rig.port);
        opens.push_back(std::move(stream));
    };
    for (int i = 0; i < 5; ++i) {
        open(true);
    }
    rig.turn_wanted = false;
    std::size_t answered = 0;
    while (answered < 5) {
        rig.replica.turn();
        CHECK(rig.port.opens.size() - answered <= 2);
        answered = rig.port.opens.size();
        REQUIRE((answered == 5 || std::exchange(rig.turn_wanted, false)));
    }
    CHECK(rig.port.opens == opens);
    for (const auto& stream : opens) {
        CHECK(stream->present.size() == 15'000);
    }
    for (int i = 0; i < 5; ++i) {
        open(false);
    }
    rig.replica.turn();
    CHECK(rig.port.opens.size() == 10);
    CHECK(opens.back()->failure == Failure::none);
    CHECK(opens.back()->present.empty());
}

TEST_CASE("replica: a stream of a value that nobody touched knows no gap, however old the cursor") {
    fsm::HistoryOptions history;
    history.events_max = 2;
    Rig rig({1}, history);
    rig.write(set_command("a", "1"));
    const std::uint64_t written = rig.replica.state_machine().applied_index();
    rig.write(set_command("gone", "1"));
    const std::uint64_t place = rig.replica.state_machine().applied_index();
    std::string deletion;
    fsm::encode_delete("gone", 0, deletion);
    rig.write(deletion);
    for (int i = 0; i < 9; ++i) {
        rig.write(set_command("other", "x"));
    }
    for (const std::uint64_t since : {written, place}) {
        const auto unchanged = rig.open(since, "a");
        CHECK_FALSE(unchanged->gap);
        CHECK(unchanged->replay.empty());
        CHECK(unchanged->present.empty());
        CHECK(unchanged->applied_index > since);
    }
    // Before it was written, or in the middle of that entry: other things may have happened to it.
    const auto before = rig.open(written - 1, "a");
    CHECK(before->gap);
    CHECK(before->present.size() == 1);
    CHECK(rig.open(written, "a", 0)->gap);
    // What is not there now may have been deleted, and this was; of a prefix any name may be gone.
    CHECK(rig.open(place, "gone")->gap);
    CHECK(rig.open(place)->gap);
}

TEST_CASE("replica: listeners hear how far the history is, also when nothing happens") {
    Rig rig;
    rig.open(std::nullopt);
    rig.port.batches.clear();
    rig.pass(3500 * ms);
    CHECK(rig.port.batches.size() >= 3);
    CHECK(rig.port.batches.size() <= 4);
    CHECK(rig.port.batches.back()->events.empty());
}

TEST_CASE("replica: transfer to the leader itself is done at once, to a stranger never") {
    Rig rig;
    auto transfer = std::make_shared<Operation>();
    transfer->kind = Operation::Kind::transfer_leadership;
    transfer->member = 1;
    rig.replica.submit(transfer, rig.port);
    rig.settle();
    CHECK(rig.port.only_failure() == Failure::none);
    CHECK(transfer->error.empty());
    auto stranger = std::make_shared<Operation>(*transfer);
    stranger->member = 9;
    rig.replica.submit(stranger, rig.port);
    REQUIRE(rig.port.done.size() == 2);
    CHECK_FALSE(stranger->error.empty());
}

TEST_CASE("replica: a transfer that doesn't come to pass ends with its deadline") {
    Rig rig({1, 2, 3});
    auto transfer = std::make_shared<Operation>();
    transfer->kind = Operation::Kind::transfer_leadership;
    transfer->member = 2;
    transfer->timeout_ms = 300;
    rig.replica.submit(transfer, rig.port);
    rig.pass(250 * ms);
    CHECK(rig.port.done.empty());
    rig.pass(100 * ms);
    CHECK(rig.port.only_failure() == Failure::timeout);
}

TEST_CASE("replica: elections that come to nothing don't make waiting for a leader begin anew") {
    Rig rig({1, 2, 3});
    rig.replica.submit(make_write(set_command("n", "v"), 60'000), rig.port);
    auto read = std::make_shared<Operation>();
    read->timeout_ms = 60'000;
    read->name = "n";
    rig.replica.submit(read, rig.port);
    rig.pass(1000 * ms);
    CHECK(rig.port.done.empty());
    for (int i = 0; i < 10; ++i) {
        rig.pass(100 * ms);
        // Both others refuse: a follower again, until the next time.
        for (const raft::NodeId peer : {2, 3}) {
            const raft::Term term = rig.replica.node().core().term();
            rig.replica.on_message(raft::RequestVoteReply{{5, peer, 1, term}, true, false});
        }
        rig.replica.on_delivered();
        rig.settle();
    }
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done[0]->failure == Failure::no_leader);
    CHECK(rig.port.done[1]->failure == Failure::no_leader);
}

TEST_CASE("replica: a snapshot is taken on request; one that takes too long times out, once") {
    Rig rig;
    rig.write(set_command("n", "v"));
    rig.port.done.clear();
    const auto first = rig.submit(Operation::Kind::take_snapshot);
    rig.settle();
    CHECK(rig.port.done.empty());
    for (int i = 0; i < 20 && rig.port.done.empty(); ++i) {
        rig.runner.run_all(*rig.store);
        rig.settle();
    }
    CHECK(rig.port.only_failure() == Failure::none);
    CHECK(first->error.empty());
    CHECK(first->snapshot_index == rig.replica.state_machine().applied_index());
    CHECK(raft::test::latest_index(*rig.store) == first->snapshot_index);

    rig.write(set_command("n", "w"));
    rig.port.done.clear();
    const auto slow = rig.submit(Operation::Kind::take_snapshot);
    slow->timeout_ms = 5000;
    rig.pass(5100 * ms);  // and the disk does nothing
    CHECK(rig.port.only_failure() == Failure::timeout);
    for (int i = 0; i < 20; ++i) {
        rig.runner.run_all(*rig.store);
        rig.settle();
    }
    CHECK(rig.port.done.size() == 1);
    CHECK(raft::test::latest_index(*rig.store) > first->snapshot_index);
}

TEST_CASE("replica: stop answers everything, once, and takes nothing more") {
    Rig rig({1, 2, 3});
    rig.replica.submit(make_write(set_command("n", "v")), rig.port);
    rig.submit(Operation::Kind::get, "n");
    auto transfer = std::make_shared<Operation>();
    transfer->kind = Operation::Kind::transfer_leadership;
    transfer->member = 2;
    rig.replica.submit(transfer, rig.port);
    auto stream = std::make_shared<StreamOpen>();
    rig.replica.open_stream(stream, rig.port);
    rig.settle();
    CHECK(rig.port.done.empty());
    rig.replica.stop();
    CHECK(rig.port.done.size() == 3);
    CHECK(rig.port.opens.size() == 1);
    for (const auto& operation : rig.port.done) {
        CHECK(operation->failure == Failure::draining);
    }
    rig.replica.submit(make_write(set_command("n", "w")), rig.port);
    REQUIRE(rig.port.done.size() == 4);
    CHECK(rig.port.done[3]->failure == Failure::draining);

    Rig alone;
    alone.write(set_command("n", "v"));
    alone.port.done.clear();
    alone.submit(Operation::Kind::take_snapshot);
    alone.settle();
    alone.replica.stop();
    CHECK(alone.port.only_failure() == Failure::draining);
    alone.runner.run_all(*alone.store);
    CHECK(alone.port.done.size() == 1);
}

TEST_CASE("replica: a lease read says what it was") {
    raft::CoreOptions options = core_options();
    options.vote_promise_ns = 80 * ms;
    Rig leased({1}, {}, options);
    Rig rig;  // promises nothing, so it has no lease
    for (Rig* one : {&leased, &rig}) {
        one->write(set_command("a", "1"));
        auto read = std::make_shared<Operation>();
        read->kind = Operation::Kind::get;
        read->name = "a";
        read->consistency = Consistency::lease;
        one->replica.submit(read, one->port);
        one->settle();
        REQUIRE(one->port.done.back() == read);
        CHECK(read->failure == Failure::none);
        CHECK(*read->output.value->bytes == "1");
        CHECK(read->consistency ==
              (one == &leased ? Consistency::lease : Consistency::linearizable));
    }
    leased.replica.stop();
    auto late = std::make_shared<Operation>();
    late->kind = Operation::Kind::get;
    late->consistency = Consistency::lease;
    leased.replica.submit(late, leased.port);
    CHECK(late->failure == Failure::draining);
}

TEST_CASE("replica: a leader that stood still has no lease in its first turn") {
    raft::CoreOptions options = core_options();
    options.vote_promise_ns = 80 * ms;
    Rig rig({1, 2, 3}, {}, options);
    const auto answer = [&](raft::Message message) {
        rig.replica.on_message(std::move(message));
        rig.replica.on_delivered();
        rig.settle();
    };
    const raft::Core& core = rig.replica.node().core();
    const auto header = [&](raft::Term term) { return raft::Header{5, 2, 1, term}; };
    while (core.role() == raft::RoleName::follower) {
        rig.pass(10 * ms);
    }
    answer(raft::RequestVoteReply{header(core.term() + 1), true, true});
    answer(raft::RequestVoteReply{header(core.term()), false, true});
    REQUIRE(core.is_leader());
    const auto hear = [&] {
        rig.pass(20 * ms);
        raft::AppendEntriesReply reply;
        reply.header = header(core.term());
        for (const raft::Message& message : rig.transport.messages) {
            if (const auto* append = std::get_if<raft::AppendEntries>(&message)) {
                reply.read_id = std::max(reply.read_id, append->read_id);
            }
        }
        reply.match_index = core.log().last_index();
        reply.vote_promise_ns = 80 * ms;
        answer(reply);
    };
    hear();
    const auto read = [&] {
        const auto operation = std::make_shared<Operation>();
        operation->kind = Operation::Kind::get;
        operation->consistency = Consistency::lease;
        rig.replica.submit(operation, rig.port);
        rig.settle();
        return operation;
    };
    CHECK(read()->consistency == Consistency::lease);
    REQUIRE(rig.port.done.size() == 1);
    rig.clock.pass(72 * ms);
    CHECK(read()->consistency == Consistency::lease);  // undecided, as asked
    CHECK(rig.port.done.size() == 1);
    hear();
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done.back()->failure == Failure::none);
    CHECK(rig.port.done.back()->consistency == Consistency::linearizable);
}

}  // namespace
