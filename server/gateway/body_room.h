// Room for large bodies: who may go on with one now, and who waits for that, in order.
//
// Owned by a gateway, on its thread, which has two: one for bodies that are read, which keeps
// memory bounded, and a smaller one for those that the node has in work, so that it isn't given
// more than it takes. What is refused was sent for nothing, and is sent again: so who finds no room
// waits, with its body unread in the first and complete in the second, where slow clients don't
// come. A connection takes room for the whole body. The first in line gets room first, even if
// another would fit; one body fits always. No timer: who waits has a deadline of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <utility>

namespace cairn::server {

class BodyRoom {
 public:
    // At most `waiting_max` wait.
    BodyRoom(std::size_t bytes_max, std::size_t waiting_max)
        : bytes_max_(bytes_max), waiting_max_(waiting_max) {}
    BodyRoom(const BodyRoom&) = delete;
    BodyRoom& operator=(const BodyRoom&) = delete;

    // A connection's place: in the room, in line, or neither. Leaves both when it is destroyed; the
    // room outlives it.
    class Place {
     public:
        enum class State : std::uint8_t { none, waiting, inside };

        Place(BodyRoom& room, std::function<void()> on_room)
            : room_(room), on_room_(std::move(on_room)) {}
        ~Place() { leave(); }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

        // Asks for room; to be called when the place is in neither. Stays `none` when too many
        // wait. From `waiting` it becomes `inside` by itself, and on_room is called.
        State enter(std::size_t bytes);
        // Gives the room back, or the place in line.
        void leave();

        State state() const { return state_; }

     private:
        friend class BodyRoom;

        BodyRoom& room_;
        std::function<void()> on_room_;
        State state_ = State::none;
        std::size_t bytes_ = 0;
        std::list<Place*>::iterator in_line_;
    };

    std::size_t bytes() const { return bytes_; }
    std::size_t waiting() const { return line_.size(); }

 private:
    bool fits(std::size_t bytes) const { return bytes_ == 0 || bytes_ + bytes <= bytes_max_; }
    void let_in();

    std::size_t bytes_max_;
    std::size_t waiting_max_;
    std::size_t bytes_ = 0;  // of all inside
    std::list<Place*> line_;
};

}  // namespace cairn::server
