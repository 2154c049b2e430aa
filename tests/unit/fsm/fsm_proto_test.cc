// Pins the seed's package: other programs speak it, so neither a name, a number, a type nor a byte
// of it may change.
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include "atomix/multiraft/atomic/value/v1/fsm.pb.h"

namespace {

namespace seed = ::atomix::multiraft::atomic::value::v1;
using namespace std::string_literals;  // NUL bytes in the literals below

// "name number type [oneof]" of each field.
using Fields = std::vector<std::string>;

Fields fields_of(const google::protobuf::Descriptor& message) {
    Fields fields;
    for (int i = 0; i < message.field_count(); ++i) {
        const auto& field = *message.field(i);
        std::string text = field.name() + " " + std::to_string(field.number()) + " ";
        text += field.message_type() ? field.message_type()->full_name() : field.type_name();
        if (field.is_repeated()) {
            text += " repeated";
        }
        if (field.containing_oneof()) {
            text += " in " + field.containing_oneof()->name();
        }
        fields.push_back(text);
    }
    return fields;
}

const std::string package = "atomix.multiraft.atomic.value.v1";

std::map<std::string, Fields> pinned() {
    const std::string duration = "google.protobuf.Duration";
    const std::string p = package + ".";
    const std::string value = p + "Value";
    return {
        {"AtomicValueInput",
         {"get 1 " + p + "GetInput in input", "set 2 " + p + "SetInput in input",
          "update 3 " + p + "UpdateInput in input", "delete 4 " + p + "DeleteInput in input",
          "watch 5 " + p + "WatchInput in input", "events 6 " + p + "EventsInput in input"}},
        {"AtomicValueOutput",
         {"get 1 " + p + "GetOutput in output", "set 2 " + p + "SetOutput in output",
          "update 3 " + p + "UpdateOutput in output", "delete 4 " + p + "DeleteOutput in output",
          "watch 5 " + p + "WatchOutput in output", "events 6 " + p + "EventsOutput in output"}},
        {"AtomicValueState", {"value 1 " + value, "expire 2 google.protobuf.Timestamp"}},
        {"DeleteInput", {"prev_index 1 uint64"}},
        {"DeleteOutput", {"value 1 " + value}},
        {"Event",
         {"created 1 " + p + "Event.Created in event", "updated 2 " + p + "Event.Updated in event",
          "deleted 3 " + p + "Event.Deleted in event"}},
        {"Event.Created", {"value 1 " + value}},
        {"Event.Deleted", {"value 1 " + value, "expired 2 bool"}},
        {"Event.Updated", {"value 1 " + value, "prev_value 2 " + value}},
        {"EventsInput", {}},
        {"EventsOutput", {"event 1 " + p + "Event"}},
        {"GetInput", {}},
        {"GetOutput", {"value 1 " + value}},
        {"SetInput", {"value 1 bytes", "ttl 2 " + duration}},
        {"SetOutput", {"index 1 uint64"}},
        {"UpdateInput", {"value 1 bytes", "prev_index 2 uint64", "ttl 3 " + duration}},
        {"UpdateOutput", {"index 1 uint64", "prev_value 2 " + value}},
        {"Value", {"value 1 bytes", "index 2 uint64"}},
        {"WatchInput", {}},
        {"WatchOutput", {"value 1 " + value}},
    };
}

void add_messages(const google::protobuf::Descriptor& message,
                  std::map<std::string, Fields>& found) {
    found[message.full_name().substr(package.size() + 1)] = fields_of(message);
    for (int i = 0; i < message.nested_type_count(); ++i) {
        add_messages(*message.nested_type(i), found);
    }
}

std::string parse_and_serialize(google::protobuf::Message& message, const std::string& bytes) {
    REQUIRE(message.ParseFromString(bytes));
    return message.SerializeAsString();
}

}  // namespace

TEST_CASE("seed protocol: messages, fields, numbers and types") {
    const auto& file = *seed::AtomicValueInput::descriptor()->file();
    CHECK(file.package() == package);
    CHECK(file.name() == "atomix/multiraft/atomic/value/v1/fsm.proto");
    CHECK(file.syntax() == google::protobuf::FileDescriptor::SYNTAX_PROTO3);
    CHECK(file.enum_type_count() == 0);
    CHECK(file.service_count() == 0);

    std::map<std::string, Fields> found;
    for (int i = 0; i < file.message_type_count(); ++i) {
        add_messages(*file.message_type(i), found);
    }
    const auto expected = pinned();
    CHECK(found.size() == expected.size());
    for (const auto& [name, fields] : expected) {
        CAPTURE(name);
        REQUIRE(found.contains(name));
        CHECK(found[name] == fields);
    }
}

TEST_CASE("seed protocol: inputs byte for byte") {
    seed::AtomicValueInput input;
    input.mutable_get();
    CHECK(input.SerializeAsString() == "\x0a\x00"s);

    input.mutable_set()->set_value("hi");
    input.mutable_set()->mutable_ttl()->set_seconds(30);
    CHECK(input.SerializeAsString() == "\x12\x08\x0a\x02hi\x12\x02\x08\x1e"s);

    input.mutable_update()->set_value("hi");
    input.mutable_update()->set_prev_index(300);
    input.mutable_update()->mutable_ttl()->set_seconds(1);
    input.mutable_update()->mutable_ttl()->set_nanos(500'000'000);
    CHECK(input.SerializeAsString() ==
          "\x1a\x11\x0a\x02hi\x10\xac\x02\x1a\x08\x08\x01\x10\x80\xca\xb5\xee\x01"s);

    input.mutable_delete_()->set_prev_index(42);
    CHECK(input.SerializeAsString() == "\x22\x02\x08\x2a"s);
    input.mutable_watch();
    CHECK(input.SerializeAsString() == "\x2a\x00"s);
    input.mutable_events();
    CHECK(input.SerializeAsString() == "\x32\x00"s);
}

TEST_CASE("seed protocol: outputs byte for byte") {
    seed::AtomicValueOutput output;
    output.mutable_get()->mutable_value()->set_value("hi");
    output.mutable_get()->mutable_value()->set_index(7);
    CHECK(output.SerializeAsString() == "\x0a\x08\x0a\x06\x0a\x02hi\x10\x07"s);

    output.mutable_set()->set_index(8);
    CHECK(output.SerializeAsString() == "\x12\x02\x08\x08"s);

    output.mutable_update()->set_index(9);
    output.mutable_update()->mutable_prev_value()->set_value("hi");
    output.mutable_update()->mutable_prev_value()->set_index(7);
    CHECK(output.SerializeAsString() == "\x1a\x0a\x08\x09\x12\x06\x0a\x02hi\x10\x07"s);

    output.mutable_delete_()->mutable_value()->set_index(9);
    CHECK(output.SerializeAsString() == "\x22\x04\x0a\x02\x10\x09"s);
    output.mutable_watch()->mutable_value()->set_index(9);
    CHECK(output.SerializeAsString() == "\x2a\x04\x0a\x02\x10\x09"s);

    seed::Event& event = *output.mutable_events()->mutable_event();
    event.mutable_created()->mutable_value()->set_index(1);
    CHECK(output.SerializeAsString() == "\x32\x08\x0a\x06\x0a\x04\x0a\x02\x10\x01"s);
    event.mutable_updated()->mutable_value()->set_index(2);
    event.mutable_updated()->mutable_prev_value()->set_index(1);
    CHECK(output.SerializeAsString() ==
          "\x32\x0c\x0a\x0a\x12\x08\x0a\x02\x10\x02\x12\x02\x10\x01"s);
    event.mutable_deleted()->mutable_value()->set_index(2);
    event.mutable_deleted()->set_expired(true);
    CHECK(output.SerializeAsString() == "\x32\x0a\x0a\x08\x1a\x06\x0a\x02\x10\x02\x10\x01"s);
}

TEST_CASE("seed protocol: the state's bytes, and what other programs wrote reads back the same") {
    seed::AtomicValueState state;
    state.mutable_value()->set_value("hi");
    state.mutable_value()->set_index(7);
    state.mutable_expire()->set_seconds(5);
    state.mutable_expire()->set_nanos(6);
    const std::string bytes = "\x0a\x06\x0a\x02hi\x10\x07\x12\x04\x08\x05\x10\x06"s;
    CHECK(state.SerializeAsString() == bytes);
    CHECK(parse_and_serialize(state, bytes) == bytes);

    seed::AtomicValueInput input;
    const std::string update = "\x1a\x07\x0a\x02hi\x10\xac\x02"s;
    CHECK(parse_and_serialize(input, update) == update);
    CHECK(input.update().prev_index() == 300);
    CHECK_FALSE(input.update().has_ttl());
}

TEST_CASE("seed protocol: the protobuf JSON mapping that POST takes") {
    seed::AtomicValueInput input;
    const std::string json = R"({"update":{"value":"aGk=","prevIndex":"4","ttl":"30s"}})";
    REQUIRE(google::protobuf::util::JsonStringToMessage(json, &input).ok());
    CHECK(input.update().value() == "hi");
    CHECK(input.update().prev_index() == 4);
    CHECK(input.update().ttl().seconds() == 30);
    std::string written;
    REQUIRE(google::protobuf::util::MessageToJsonString(input, &written).ok());
    CHECK(written == json);
}
