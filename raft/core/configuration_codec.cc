// A configuration as bytes, little-endian: a version, the four lists of ids, the details. Each list
// begins with its length.

#include <array>
#include <limits>

#include "raft/core/configuration.h"
#include "raft/core/little_endian.h"

namespace cairn::raft {

namespace {

constexpr std::uint8_t format_version = 1;
constexpr std::uint8_t flag_stays_learner = 1;

template <class Integer>
void put(std::string& bytes, Integer value) {
    std::array<char, sizeof(Integer)> encoded;
    put_little_endian(encoded.data(), value);
    bytes.append(encoded.data(), encoded.size());
}

void put_ids(std::string& bytes, const std::vector<NodeId>& ids) {
    put(bytes, static_cast<std::uint32_t>(ids.size()));
    for (const NodeId id : ids) {
        put(bytes, id);
    }
}

class Reader {
 public:
    explicit Reader(std::string_view bytes) : left_(bytes) {}

    template <class Integer>
    Integer number() {
        if (left_.size() < sizeof(Integer)) {
            failed_ = true;
            left_ = {};
            return 0;
        }
        const auto value = get_little_endian<Integer>(left_.data());
        left_.remove_prefix(sizeof(Integer));
        return value;
    }

    std::vector<NodeId> ids() {
        std::vector<NodeId> ids;
        for (auto count = number<std::uint32_t>(); count > 0 && !failed_; --count) {
            ids.push_back(number<std::uint64_t>());
        }
        return ids;
    }

    std::string text() {
        const auto size = number<std::uint16_t>();
        if (left_.size() < size) {
            failed_ = true;
            return {};
        }
        std::string text(left_.substr(0, size));
        left_.remove_prefix(size);
        return text;
    }

    bool failed() const { return failed_; }
    bool done() const { return !failed_ && left_.empty(); }

 private:
    std::string_view left_;
    bool failed_ = false;
};

}  // namespace

std::string encode_configuration(const Configuration& configuration) {
    std::string bytes;
    put(bytes, format_version);
    put_ids(bytes, configuration.voters);
    put_ids(bytes, configuration.outgoing_voters);
    put_ids(bytes, configuration.learners);
    put_ids(bytes, configuration.removed);
    put(bytes, static_cast<std::uint32_t>(configuration.details.size()));
    for (const Member& member : configuration.details) {
        put(bytes, member.id);
        put(bytes, member.disk_id);
        put(bytes, member.stays_learner ? flag_stays_learner : std::uint8_t{0});
        put(bytes, static_cast<std::uint16_t>(member.address.size()));
        bytes += member.address;
    }
    return bytes;
}

bool decode_configuration(std::string_view bytes, Configuration& configuration) {
    Reader reader(bytes);
    if (reader.number<std::uint8_t>() != format_version) {
        return false;
    }
    Configuration decoded;
    decoded.voters = reader.ids();
    decoded.outgoing_voters = reader.ids();
    decoded.learners = reader.ids();
    decoded.removed = reader.ids();
    for (auto count = reader.number<std::uint32_t>(); count > 0 && !reader.failed(); --count) {
        Member member;
        member.id = reader.number<std::uint64_t>();
        member.disk_id = reader.number<std::uint64_t>();
        const auto flags = reader.number<std::uint8_t>();
        if (flags > flag_stays_learner) {
            return false;
        }
        member.stays_learner = flags == flag_stays_learner;
        member.address = reader.text();
        decoded.details.push_back(std::move(member));
    }
    if (!reader.done() || !validate(decoded).empty()) {
        return false;
    }
    configuration = std::move(decoded);
    return true;
}

}  // namespace cairn::raft
