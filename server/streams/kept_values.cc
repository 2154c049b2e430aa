#include "server/streams/kept_values.h"

#include <utility>

namespace cairn::server {

fsm::Bytes KeptValues::keep(const fsm::Bytes& bytes) {
    std::weak_ptr<const std::string>& kept = kept_[bytes.get()];
    if (fsm::Bytes counted = kept.lock()) {
        return counted;
    }
    const std::string* plain = bytes.get();
    statistics_.queued_bytes.add(plain->size());
    fsm::Bytes counted(plain, [all = shared_from_this(), bytes](const std::string* gone) {
        raft::Counter& queued = all->statistics_.queued_bytes;
        queued.set(queued.value() - gone->size());
        all->kept_.erase(gone);
    });
    kept = counted;
    return counted;
}

}  // namespace cairn::server
