#include "fsm/command.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <google/protobuf/duration.pb.h>

#include "cairn/server/v1/command.pb.h"

namespace {

namespace fsm = cairn::fsm;
namespace wire = cairn::server::v1;
namespace seed = ::atomix::multiraft::atomic::value::v1;
using fsm::Output;
using fsm::Status;

google::protobuf::Duration duration(std::int64_t seconds, std::int32_t nanos) {
    google::protobuf::Duration ttl;
    ttl.set_seconds(seconds);
    ttl.set_nanos(nanos);
    return ttl;
}

fsm::Value value(std::string bytes, fsm::Index index, std::int64_t deadline_ns) {
    return {std::make_shared<const std::string>(std::move(bytes)), index, deadline_ns};
}

Output output(Output::Kind kind, Status status, fsm::Index index) {
    Output result;
    result.kind = kind;
    result.status = status;
    result.index = index;
    return result;
}

std::optional<Output> through_the_wire(const Output& sent) {
    wire::CommandOutput message;
    fsm::encode_output(sent, message);
    wire::CommandOutput received;
    REQUIRE(received.ParseFromString(message.SerializeAsString()));
    return fsm::decode_output(std::move(received));
}

bool equal(const std::optional<fsm::Value>& a, const std::optional<fsm::Value>& b) {
    if (!a || !b) {
        return a.has_value() == b.has_value();
    }
    return *a->bytes == *b->bytes && a->index == b->index && a->deadline_ns == b->deadline_ns;
}

const std::string long_name(300, 'n');
const std::string long_value(70'000, 'v');

}  // namespace

TEST_CASE("command: set and update are what protobuf writes") {
    const std::optional<std::int64_t> ttls[] = {std::nullopt,
                                                1,
                                                999'999'999,
                                                1'000'000'000,
                                                0,
                                                -1,
                                                1'500'000'000,
                                                -2'500'000'000,
                                                std::numeric_limits<std::int64_t>::max(),
                                                std::numeric_limits<std::int64_t>::min()};
    for (const std::string& name : {std::string(), std::string("a/b"), long_name}) {
        for (const std::string& bytes : {std::string(), std::string("\0x", 2), long_value}) {
            for (const auto ttl_ns : ttls) {
                for (const fsm::Index prev_index :
                     {fsm::Index{0}, fsm::Index{300}, ~fsm::Index{0}}) {
                    wire::Command expected;
                    expected.mutable_value()->set_name(name);
                    auto& update = *expected.mutable_value()->mutable_input()->mutable_update();
                    update.set_value(bytes);
                    update.set_prev_index(prev_index);
                    if (ttl_ns) {
                        *update.mutable_ttl() =
                            duration(*ttl_ns / 1'000'000'000,
                                     static_cast<std::int32_t>(*ttl_ns % 1'000'000'000));
                    }
                    std::string encoded;
                    fsm::encode_update(name, bytes, ttl_ns, prev_index, encoded);
                    CHECK(encoded == expected.SerializeAsString());

                    const google::protobuf::Duration ttl = update.ttl();
                    const bool create_only = prev_index == 300;
                    auto& set = *expected.mutable_value()->mutable_input()->mutable_set();
                    set.set_value(bytes);
                    if (ttl_ns) {
                        *set.mutable_ttl() = ttl;
                    }
                    expected.mutable_value()->set_create_only(create_only);
                    std::string encoded_set;
                    fsm::encode_set(name, bytes, ttl_ns, create_only, encoded_set);
                    CHECK(encoded_set == expected.SerializeAsString());
                }
            }
        }
    }
}

TEST_CASE("command: delete, input and clock are what protobuf writes") {
    for (const fsm::Index prev_index : {fsm::Index{0}, fsm::Index{127}, ~fsm::Index{0}}) {
        wire::Command expected;
        expected.mutable_value()->set_name("a");
        auto& input = *expected.mutable_value()->mutable_input();
        input.mutable_delete_()->set_prev_index(prev_index);
        std::string encoded;
        fsm::encode_delete("a", prev_index, encoded);
        CHECK(encoded == expected.SerializeAsString());
        std::string wrapped;
        fsm::encode_input("a", input.SerializeAsString(), wrapped);
        CHECK(wrapped == encoded);
    }
    wire::Command clock;
    clock.mutable_clock();
    std::string encoded;
    fsm::encode_clock(std::nullopt, encoded);
    CHECK(encoded == clock.SerializeAsString());
    for (const std::int64_t offset :
         {std::int64_t{0}, std::int64_t{-2}, std::int64_t{0x0102030405060708}}) {
        clock.mutable_clock()->set_utc_offset_ns(offset);
        encoded.clear();
        fsm::encode_clock(offset, encoded);
        CHECK(encoded == clock.SerializeAsString());
    }
}

TEST_CASE("command: the idempotency key and fingerprint are what protobuf writes") {
    seed::AtomicValueInput set;
    set.mutable_set()->set_value("v");
    seed::AtomicValueInput update;
    update.mutable_update()->set_value("v");
    update.mutable_update()->set_prev_index(3);
    seed::AtomicValueInput remove;
    remove.mutable_delete_()->set_prev_index(3);
    for (const std::string& key : {std::string(), std::string("\0k", 2), std::string(255, 'k')}) {
        for (const std::uint64_t fingerprint :
             {std::uint64_t{0}, std::uint64_t{0xff02030405060708}}) {
            const fsm::Idempotency idempotency{key, fingerprint};
            const auto expected = [&](const seed::AtomicValueInput& input) {
                wire::Command command;
                command.mutable_value()->set_name("a");
                *command.mutable_value()->mutable_input() = input;
                command.mutable_value()->set_create_only(input.has_set());
                command.mutable_value()->set_idempotency_key(key);
                command.mutable_value()->set_idempotency_fingerprint(fingerprint);
                return "x" + command.SerializeAsString();
            };
            std::string encoded = "x";
            fsm::encode_set("a", "v", {}, true, encoded, idempotency);
            CHECK(encoded == expected(set));
            encoded = "x";
            fsm::encode_update("a", "v", {}, 3, encoded, idempotency);
            CHECK(encoded == expected(update));
            encoded = "x";
            fsm::encode_delete("a", 3, encoded, idempotency);
            CHECK(encoded == expected(remove));
            encoded = "x";
            fsm::encode_input("a", remove.SerializeAsString(), encoded, idempotency);
            CHECK(encoded == expected(remove));
        }
    }
}

TEST_CASE("command: encoding into room that is there allocates nothing") {
    std::string out;
    out.reserve(1'000);
    const char* const room = out.data();
    fsm::encode_set("a", std::string(200, 'v'), 5, true, out, {std::string(255, 'k'), ~0U});
    CHECK(out.data() == room);
    // Without room it makes what it needs, at once.
    std::string exact;
    fsm::encode_set("a", std::string(200, 'v'), 5, true, exact, {std::string(255, 'k'), ~0U});
    CHECK(exact.capacity() == exact.size());
}

TEST_CASE("command: encoding appends") {
    std::string first;
    fsm::encode_delete("a", 1, first);
    std::string second;
    fsm::encode_set("b", long_value, 5, true, second);
    std::string both = "x";
    fsm::encode_delete("a", 1, both);
    fsm::encode_set("b", long_value, 5, true, both);
    CHECK(both == "x" + first + second);
}

TEST_CASE("command: an input can't reach outside its place") {
    // The bytes would be a create_only field and a name, were they not inside the input.
    std::string encoded;
    fsm::encode_input("a", "\x18\x01\x0a\x01z", encoded);
    wire::Command command;
    const bool parsed = command.ParseFromString(encoded);
    if (parsed) {
        CHECK(command.value().name() == "a");
        CHECK_FALSE(command.value().create_only());
    }
}

TEST_CASE("command: which durations are a ttl") {
    CHECK(fsm::ttl_ns_of(duration(0, 1)) == 1);
    CHECK(fsm::ttl_ns_of(duration(1, 999'999'999)) == 1'999'999'999);
    CHECK(fsm::ttl_ns_of(duration(36'525 * 86'400LL, 0)) == fsm::ttl_ns_max);
    CHECK_FALSE(fsm::ttl_ns_of(duration(36'525 * 86'400LL, 1)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(std::numeric_limits<std::int64_t>::max(), 0)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(std::numeric_limits<std::int64_t>::min(), 0)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(0, 0)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(-1, 0)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(0, -1)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(1, -1)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(-1, 1)));
    CHECK_FALSE(fsm::ttl_ns_of(duration(1, 1'000'000'000)));
}

TEST_CASE("command: outputs survive the wire") {
    Output created = output(Output::Kind::set, Status::ok, 7);
    created.created = true;
    Output got = output(Output::Kind::get, Status::ok, 3);
    got.value = value("", 3, 9'000);
    Output updated = output(Output::Kind::update, Status::ok, 8);
    updated.prev_value = value(long_value, 7, 0);
    Output removed = output(Output::Kind::remove, Status::ok, 8);
    removed.value = value(std::string("\0\xff", 2), 8, 0);
    Output replayed = removed;
    replayed.replayed = true;
    replayed.first_applied_index = 9;
    Output replayed_refusal = output(Output::Kind::remove, Status::not_found, 0);
    replayed_refusal.replayed = true;
    replayed_refusal.first_applied_index = 1;
    for (const Output& sent :
         {Output{}, created, got, updated, removed, output(Output::Kind::set, Status::ok, 7),
          output(Output::Kind::set, Status::already_exists, 6),
          output(Output::Kind::update, Status::conflict, 6),
          output(Output::Kind::remove, Status::not_found, 0),
          output(Output::Kind::none, Status::invalid, 0), replayed, replayed_refusal,
          output(Output::Kind::update, Status::idempotency_mismatch, 0)}) {
        const auto received = through_the_wire(sent);
        REQUIRE(received);
        CHECK(received->status == sent.status);
        CHECK(received->kind == sent.kind);
        CHECK(received->created == sent.created);
        CHECK(received->index == sent.index);
        CHECK(received->replayed == sent.replayed);
        CHECK(received->first_applied_index == sent.first_applied_index);
        CHECK(equal(received->value, sent.value));
        CHECK(equal(received->prev_value, sent.prev_value));
    }
}

TEST_CASE("command: a peer's output that apply() can't have made is refused") {
    Output bad = output(Output::Kind::get, Status::ok, 3);
    CHECK_FALSE(through_the_wire(bad));  // no value
    bad.value = value("v", 0, 0);
    CHECK_FALSE(through_the_wire(bad));  // written at no index
    bad.value = value("v", 3, -1);
    CHECK_FALSE(through_the_wire(bad));
    bad.value = value("v", 3, 0);
    CHECK(through_the_wire(bad));
    bad.prev_value = value("v", 3, 0);
    CHECK_FALSE(through_the_wire(bad));
    CHECK_FALSE(through_the_wire(output(Output::Kind::update, Status::ok, 3)));
    CHECK_FALSE(through_the_wire(output(Output::Kind::remove, Status::ok, 3)));
    CHECK_FALSE(through_the_wire(output(Output::Kind::set, Status::ok, 0)));
    CHECK_FALSE(through_the_wire(output(Output::Kind::update, Status::conflict, 0)));

    Output set = output(Output::Kind::set, Status::ok, 3);
    CHECK(through_the_wire(set));
    set.value = value("v", 0, 0);
    CHECK_FALSE(through_the_wire(set));  // a bad value where none may be

    Output replayed = output(Output::Kind::set, Status::ok, 3);
    replayed.replayed = true;
    CHECK_FALSE(through_the_wire(replayed));  // of no entry
    replayed.first_applied_index = 3;
    CHECK(through_the_wire(replayed));
    replayed.replayed = false;
    CHECK_FALSE(through_the_wire(replayed));
    // None of these is kept.
    for (Output never :
         {output(Output::Kind::none, Status::ok, 0), output(Output::Kind::none, Status::invalid, 0),
          output(Output::Kind::set, Status::invalid, 0),
          output(Output::Kind::set, Status::idempotency_mismatch, 0)}) {
        CHECK(through_the_wire(never));
        never.replayed = true;
        never.first_applied_index = 3;
        CHECK_FALSE(through_the_wire(never));
    }
    CHECK_FALSE(through_the_wire(output(Output::Kind::set, Status::idempotency_mismatch, 3)));

    wire::CommandOutput message;
    message.set_status(6);
    CHECK_FALSE(fsm::decode_output(std::move(message)));
    wire::CommandOutput other;
    other.set_kind(5);
    CHECK_FALSE(fsm::decode_output(std::move(other)));
}

TEST_CASE("command: the seed's outputs") {
    seed::AtomicValueOutput message;
    Output got = output(Output::Kind::get, Status::ok, 3);
    got.value = value("v", 3, 9'000);
    REQUIRE(fsm::encode_value_output(got, message));
    CHECK(message.get().value().value() == "v");
    CHECK(message.get().value().index() == 3);

    REQUIRE(fsm::encode_value_output(output(Output::Kind::set, Status::ok, 4), message));
    CHECK(message.set().index() == 4);

    Output updated = output(Output::Kind::update, Status::ok, 5);
    updated.prev_value = value("p", 4, 0);
    REQUIRE(fsm::encode_value_output(updated, message));
    CHECK(message.update().index() == 5);
    CHECK(message.update().prev_value().value() == "p");
    CHECK(message.update().prev_value().index() == 4);

    Output removed = output(Output::Kind::remove, Status::ok, 5);
    removed.value = value("d", 5, 0);
    REQUIRE(fsm::encode_value_output(removed, message));
    CHECK(message.delete_().value().value() == "d");
    CHECK(message.delete_().value().index() == 5);

    const std::string before = message.SerializeAsString();
    CHECK_FALSE(
        fsm::encode_value_output(output(Output::Kind::update, Status::conflict, 5), message));
    CHECK_FALSE(fsm::encode_value_output(output(Output::Kind::get, Status::not_found, 0), message));
    CHECK_FALSE(fsm::encode_value_output(Output{}, message));
    CHECK(message.SerializeAsString() == before);
}

TEST_CASE("scenario 7: deletes, reads and clock commands need no room; nothing else goes for one") {
    std::string command;
    fsm::encode_delete("a/b", 7, command);
    CHECK_FALSE(fsm::needs_room(command));
    command.clear();
    fsm::encode_delete(std::string(512, 'n'), ~fsm::Index{0}, command,
                       {std::string(255, 'k'), ~std::uint64_t{0}});
    CHECK_FALSE(fsm::needs_room(command));
    command.clear();
    fsm::encode_clock(-5, command);
    CHECK_FALSE(fsm::needs_room(command));
    seed::AtomicValueInput get;
    get.mutable_get();
    command.clear();
    fsm::encode_input("a", get.SerializeAsString(), command);
    CHECK_FALSE(fsm::needs_room(command));

    command.clear();
    fsm::encode_set("a", "", std::nullopt, true, command);
    CHECK(fsm::needs_room(command));
    command.clear();
    fsm::encode_update("a", "x", 5, 0, command);
    CHECK(fsm::needs_room(command));
    // The last input of several is what counts when it is applied, and so it is here.
    seed::AtomicValueInput set;
    set.mutable_set()->set_value("x");
    seed::AtomicValueInput remove;
    remove.mutable_delete_();
    command.clear();
    fsm::encode_input("a", remove.SerializeAsString() + set.SerializeAsString(), command);
    CHECK(fsm::needs_room(command));
    // A delete that carries a load in fields that nobody knows: number 99, so many bytes.
    command.clear();
    fsm::encode_input("a", remove.SerializeAsString() + "\x9a\x06\x80\x10" + std::string(2048, 'p'),
                      command);
    CHECK(wire::Command().ParseFromString(command));
    CHECK(fsm::needs_room(command));
    for (const char* other : {"", "garbage", "\x0a"}) {
        CHECK(fsm::needs_room(other));
    }
}
