#include "raft/disk/recovered_log.h"

#include <algorithm>
#include <utility>

namespace cairn::raft {

std::optional<RecoveredLog> recover_log(const LogPosition& base, const Configuration& configuration,
                                        WalGroupState state, RecoveryFailure& failure) {
    RecoveredLog recovered;
    CoreStart& start = recovered.start;
    start.base = base;
    start.configuration = configuration;
    start.hard_state = state.hard_state;
    // A snapshot can be durable before the term of its last entry is; having been in that term, the
    // node has not voted in it, or the vote would be durable.
    if (start.hard_state.term < base.term) {
        start.hard_state = {base.term, 0};
    }
    std::vector<Entry>& entries = state.entries;
    // 0: there is no log to speak of.
    const Index first_index = entries.empty() ? state.next_index : entries.front().index;
    if (first_index > base.index + 1) {
        failure.is_damage = true;
        failure.text = "the log begins at index " + std::to_string(first_index) +
                       ", but the newest snapshot ends at index " + std::to_string(base.index);
        return std::nullopt;
    }
    const auto after = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& entry) { return entry.index > base.index; });
    // Entries that conflict with the snapshot, or end before it, are of no use; what might follow
    // them must not be taken for what follows the snapshot.
    const bool has_base_entry = after != entries.begin();
    const bool goes_on = after == entries.end() ? state.next_index == 0 || first_index > base.index
                                                : after->term >= base.term;
    const bool matches = has_base_entry ? std::prev(after)->index == base.index &&
                                              std::prev(after)->term == base.term
                                        : goes_on;
    for (auto entry = after; matches && entry != entries.end(); ++entry) {
        Configuration ignored;
        if (entry->kind == EntryKind::configuration &&
            !decode_configuration(entry->payload.view(), ignored)) {
            failure.text = "the configuration at index " + std::to_string(entry->index) +
                           " is of a kind that this program doesn't know";
            return std::nullopt;
        }
    }
    if (matches) {
        start.entries.assign(std::make_move_iterator(after),
                             std::make_move_iterator(entries.end()));
    } else {
        recovered.log_replaced = true;
    }
    return recovered;
}

}  // namespace cairn::raft
