#include "server/tools/recover.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "raft/disk/data_directory.h"
#include "server/base/printable.h"
#include "server/node/new_cluster.h"
#include "server/settings/initial_cluster.h"
#include "server/tools/verify.h"

namespace cairn::server {
namespace {

constexpr int recoveries_max = 1000;
constexpr std::size_t identity_bytes_max = 1U << 20;
constexpr std::size_t damages_shown_max = 20;

std::string join(const std::vector<raft::NodeId>& ids) {
    std::string text;
    for (const raft::NodeId id : ids) {
        text += (text.empty() ? "" : ", ") + std::to_string(id);
    }
    return text;
}

class Recovery {
 public:
    Recovery(raft::FileSystem& files, const RecoverOptions& options, const RecoverNumbers& numbers,
             const raft::WalOptions& log_sizes)
        : files_(files),
          options_(options),
          numbers_(numbers),
          log_sizes_(log_sizes),
          path_(options.data_dir) {}

    RecoverResult run();

 private:
    bool refuse(std::string reason) {
        result_.outcome = RecoverOutcome::refused;
        result_.reason = std::move(reason);
        return false;
    }
    bool check(const std::string& path, const raft::IoResult<void>& done) {
        return done ? true : refuse(path + ": " + done.error().message());
    }
    // False also when it can't be told; then result_ says so.
    bool exists(const std::string& path);
    bool failed() const { return !result_.reason.empty(); }

    bool look_for_earlier();
    bool judge_earlier(const std::string& aside);
    bool discard(const std::string& aside);
    bool remove_if_there(const std::string& path);

    bool take_stock();
    bool judge_configuration();
    void describe();
    bool prepare();
    bool finish(const std::string& aside);
    bool replace(const std::string& aside, const std::string& name);

    raft::FileSystem& files_;
    const RecoverOptions& options_;
    const RecoverNumbers& numbers_;
    const raft::WalOptions& log_sizes_;
    const std::string path_;
    RecoverResult result_;

    raft::Identity identity_;
    std::string aside_;        // where the old data is to go
    std::string leftovers_;    // of an attempt that came to nothing; empty: none
    std::string interrupted_;  // one that has to be finished; empty: none
    VerifiedState old_;
    raft::HardState hard_state_;
    std::string address_;
    std::vector<raft::NodeId> others_;  // were members once; sorted
    bool was_member_ = true;
};

bool Recovery::exists(const std::string& path) {
    const raft::IoResult<bool> found = files_.exists(path);
    if (!found) {
        refuse(path + ": " + found.error().message());
        return false;
    }
    return *found;
}

// The names are used one after the other, so the last one is the only one that may be unfinished.
bool Recovery::look_for_earlier() {
    for (int number = 1; number <= recoveries_max; ++number) {
        aside_ = path_ + "/before-recovery-" + std::to_string(number);
        if (!exists(aside_)) {
            return !failed();
        }
        if (!judge_earlier(aside_)) {
            return false;
        }
        if (!interrupted_.empty() || !leftovers_.empty()) {
            return true;
        }
    }
    return refuse(path_ + ": recovered " + std::to_string(recoveries_max) + " times already");
}

bool Recovery::judge_earlier(const std::string& aside) {
    const std::string marker = aside + "/new-identity";
    const bool is_marked = exists(marker);
    const bool has_old_log = exists(raft::wal_directory_of(aside));
    if (failed()) {
        return false;
    }
    if (is_marked) {
        raft::IoResult<std::unique_ptr<raft::File>> file =
            files_.open(marker, raft::FileSystem::OpenMode::read);
        if (!file) {
            return refuse(marker + ": " + file.error().message());
        }
        std::string bytes;
        if (!check(marker, (*file)->read_at(0, identity_bytes_max, bytes))) {
            return false;
        }
        std::string error;
        const std::optional<raft::Identity> next = raft::decode_identity(bytes, error);
        if (!next) {
            return refuse(marker + ": " + error);
        }
        if (next->cluster_id == identity_.cluster_id && next->disk_id == identity_.disk_id) {
            interrupted_ = aside;
            return true;
        }
    }
    if (!has_old_log) {
        leftovers_ = aside;  // it did not get as far as touching anything
    }
    return true;
}

bool Recovery::remove_if_there(const std::string& path) {
    if (!exists(path)) {
        return !failed();
    }
    return check(path, files_.remove(path));
}

// Its files; what is left are empty directories, which are used again. The marker goes first.
bool Recovery::discard(const std::string& aside) {
    if (!remove_if_there(aside + "/new-identity") || !remove_if_there(aside + "/identity") ||
        !check(aside, files_.sync_directory(aside))) {
        return false;
    }
    for (const char* const name : {"/new-snapshot", "/new-log"}) {
        const std::string directory = aside + name;
        if (!exists(directory)) {
            if (failed()) {
                return false;
            }
            continue;
        }
        const raft::IoResult<std::vector<std::string>> names = files_.list(directory);
        if (!names) {
            return refuse(directory + ": " + names.error().message());
        }
        for (const std::string& file : *names) {
            const std::string path = directory + "/" + file;
            if (!check(path, files_.remove(path))) {
                return false;
            }
        }
    }
    return true;
}

// Reads and checks everything.
bool Recovery::take_stock() {
    std::string refusal;
    const std::optional<VerifyReport> report = verify_data_directory(files_, path_, refusal, &old_);
    if (!report) {
        return refuse(refusal);
    }
    if (!report->is_sound()) {
        for (const Damage& damage : report->damage) {
            if (&damage - report->damage.data() == static_cast<std::ptrdiff_t>(damages_shown_max)) {
                break;
            }
            result_.text += "damaged: " + printable(damage.file + ": " + damage.what) + "\n";
        }
        refuse(path_ +
               ": damaged (cairn verify shows all of it); nothing was changed. If another "
               "node's data is sound, recover that one");
        result_.outcome = RecoverOutcome::damaged;
        return false;
    }
    if (report->segments.empty() || !report->fits) {
        return refuse(path_ + ": there is no log yet, so nothing to recover");
    }
    if (old_.last.index > last_index_max) {
        return refuse(path_ + ": index " + std::to_string(old_.last.index) + " is nonsense");
    }
    hard_state_ = report->hard_state;
    return judge_configuration();
}

bool Recovery::judge_configuration() {
    const raft::Configuration& old = old_.configuration;
    std::set<raft::NodeId> others(old.removed.begin(), old.removed.end());
    for (const auto* known : {&identity_.founders, &identity_.members}) {
        for (const auto& [id, address] : *known) {
            others.insert(id);
            if (id == identity_.node_id) {
                address_ = address;
            }
        }
    }
    const std::vector<raft::NodeId> members = old.members();
    others.insert(members.begin(), members.end());
    others.erase(identity_.node_id);
    others_.assign(others.begin(), others.end());
    if (members.empty() && identity_.joined) {
        return refuse(path_ +
                      ": this node joined and never heard who the members are, so it has nothing "
                      "of theirs to recover");
    }
    was_member_ = members.empty() || old.contains(identity_.node_id);
    if (const raft::Member* self = old.detail(identity_.node_id);
        self != nullptr && !self->address.empty()) {
        address_ = self->address;
    }
    if (options_.raft) {
        address_ = options_.raft->text();
    }
    if (address_.empty()) {
        return refuse(path_ +
                      ": it isn't known where this node's Raft is reached; say it with "
                      "--raft");
    }
    return true;
}

void Recovery::describe() {
    result_.text += fmt::format(
        "node {} of cluster {:016x}, {} value{}, log up to index {} of term {}\n"
        "becomes, alone, cluster {:016x}, with its Raft at {}; its indexes go on from {}.\n",
        identity_.node_id, identity_.cluster_id, old_.state.size(),
        old_.state.size() == 1 ? "" : "s", old_.last.index, old_.last.term, numbers_.cluster_id,
        address_, after_leap(old_.last).index + 1);
    if (!others_.empty()) {
        result_.text += "Nodes " + join(others_) +
                        " can't come back: not with their data, nor under their ids.\n";
    }
    result_.text +=
        "Kept is all that is in this node's log, also writes at its end that were perhaps never "
        "committed.\nLost is what other nodes had acknowledged and this log doesn't have: writes "
        "that it did not\nget in time, if there were any. This node can't know.\n";
    if (!was_member_) {
        result_.text += "This node was NOT a member any more: it may be far behind.\n";
    } else if (!old_.configuration.voters.empty() &&
               !old_.configuration.is_voter(identity_.node_id)) {
        result_.text += "This node was a learner, not a voter: it may be behind.\n";
    }
    result_.text += "The old data is kept in " + printable(aside_) + ".\n";
}

// Everything up to the moment from which on it is done.
bool Recovery::prepare() {
    if (!leftovers_.empty() && !discard(leftovers_)) {
        return false;
    }
    if (!check(aside_, files_.create_directories(aside_))) {
        return false;
    }
    ClusterBeginning beginning;
    beginning.cluster_id = numbers_.cluster_id;
    beginning.node_id = identity_.node_id;
    beginning.last = old_.last;
    beginning.term = hard_state_.term + 1;
    beginning.snapshot_salt = numbers_.snapshot_salt;
    beginning.log_salt = numbers_.log_salt;
    raft::Configuration& configuration = beginning.configuration;
    configuration = raft::configuration_of({identity_.node_id});
    configuration.details = {{identity_.node_id, address_, numbers_.disk_id, false}};
    configuration.removed = others_;
    if (configuration.removed.size() > raft::removed_max) {
        configuration.removed.erase(
            configuration.removed.begin(),
            configuration.removed.end() - static_cast<std::ptrdiff_t>(raft::removed_max));
    }
    std::string error =
        write_cluster_beginning(files_, aside_ + "/new-snapshot", aside_ + "/new-log", beginning,
                                std::move(old_.state), log_sizes_);
    if (!error.empty()) {
        return refuse(std::move(error));
    }
    raft::Identity next;
    next.cluster_id = numbers_.cluster_id;
    next.node_id = identity_.node_id;
    next.disk_id = numbers_.disk_id;
    next.has_log = true;
    next.founders = {{identity_.node_id, address_}};
    next.members = next.founders;
    for (const auto& [name, content] :
         {std::pair("identity", &identity_), std::pair("new-identity", &next)}) {
        if (!check(aside_, raft::write_file_atomically(files_, aside_, name,
                                                       raft::encode_identity(*content)))) {
            return false;
        }
    }
    error = raft::write_identity(files_, path_, next);
    return error.empty() || refuse(std::move(error));
}

// Each step may have been done before.
bool Recovery::finish(const std::string& aside) {
    // The log last: until the new one is there no node starts.
    return replace(aside, "snapshot") && replace(aside, "wal") &&
           remove_if_there(aside + "/new-identity") && check(aside, files_.sync_directory(aside));
}

bool Recovery::replace(const std::string& aside, const std::string& name) {
    const std::string next = aside + (name == "wal" ? "/new-log" : "/new-snapshot");
    const std::string place = path_ + "/" + name;
    const std::string old = aside + "/" + name;
    const auto sync = [&] {
        return check(aside, files_.sync_directory(aside)) &&
               check(path_, files_.sync_directory(path_));
    };
    if (!exists(next)) {
        return !failed();
    }
    const bool is_there = exists(place);
    const bool is_aside = exists(old);
    if (failed()) {
        return false;
    }
    // What is there when the old one is aside already is an empty directory, made by an attempt to
    // start in between; the rename takes its place.
    if (is_there && !is_aside && (!check(place, files_.rename(place, old)) || !sync())) {
        return false;
    }
    return check(next, files_.rename(next, place)) && sync();
}

RecoverResult Recovery::run() {
    std::string refusal = refuse_directory(files_, path_);
    if (!refusal.empty()) {
        refuse(std::move(refusal));
        return std::move(result_);
    }
    std::optional<raft::Identity> identity;
    if (std::string error = raft::read_identity(files_, path_, identity);
        !error.empty() || !identity) {
        refuse(error.empty() ? path_ + ": there is no identity in it" : std::move(error));
        result_.outcome = RecoverOutcome::damaged;
        return std::move(result_);
    }
    identity_ = *std::move(identity);
    if (!look_for_earlier()) {
        return std::move(result_);
    }
    if (!interrupted_.empty()) {
        result_.text = "A recovery of this directory was interrupted; " +
                       std::string(options_.confirmed ? "it has now been finished.\n"
                                                      : "only what is left of it is to be done.\n");
        result_.outcome = RecoverOutcome::planned;
        if (options_.confirmed && finish(interrupted_)) {
            result_.outcome = RecoverOutcome::finished;
        }
        return std::move(result_);
    }
    if (!take_stock()) {
        return std::move(result_);
    }
    describe();
    result_.outcome = RecoverOutcome::planned;
    if (options_.confirmed && prepare() && finish(aside_)) {
        result_.outcome = RecoverOutcome::done;
    }
    return std::move(result_);
}

}  // namespace

RecoverResult recover_data_directory(raft::FileSystem& files, const RecoverOptions& options,
                                     const RecoverNumbers& numbers,
                                     const raft::WalOptions& log_sizes) {
    return Recovery(files, options, numbers, log_sizes).run();
}

}  // namespace cairn::server
