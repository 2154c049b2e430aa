// The Asio vocabulary of the gateway: one executor type, one completion token, one way to start a
// coroutine, and an event that a coroutine can wait for.
//
// Everything here belongs to one thread, the one that runs the io_context: no strands, no locks.
// An Event wakes its waiter through the io_context's queue, never from within notify(), so that a
// backend or a hub that is in the middle of a loop is not re-entered. It has no timeout: whoever
// waits makes sure that somebody notifies.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

namespace cairn::server {

namespace net = boost::asio;

// The concrete executor instead of any_io_executor: smaller handlers, no virtual calls.
using Executor = net::io_context::executor_type;
using Socket = net::basic_stream_socket<net::ip::tcp, Executor>;
using Acceptor = net::basic_socket_acceptor<net::ip::tcp, Executor>;
using Timer = net::basic_waitable_timer<std::chrono::steady_clock,
                                        net::wait_traits<std::chrono::steady_clock>, Executor>;
using Task = net::awaitable<void, Executor>;

inline constexpr auto token = net::as_tuple(net::deferred);

// Starts a coroutine. An exception that leaves it is a bug or lack of memory; it's logged and ends
// this coroutine only.
inline void spawn(const Executor& executor, Task task, const char* what) {
    net::co_spawn(executor, std::move(task), [what](const std::exception_ptr& error) {
        if (!error) {
            return;
        }
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& exception) {
            spdlog::error("{} ended by an exception: {}", what, exception.what());
        }
    });
}

// Something that happens, and at most one coroutine that waits for it:
//     if (!event.take()) co_await event.wait();
// A notify() with nobody waiting is kept until take() or wait().
class Event {
 public:
    explicit Event(const Executor& executor) : executor_(executor) {}
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() {
        // Destroys the waiting coroutine, if there is one.
        if (release_ != nullptr) {
            std::exchange(release_, nullptr)(storage_, nullptr);
        }
    }

    // Whether it happened since the last take() or wait().
    bool take() { return std::exchange(raised_, false); }

    void notify() {
        if (release_ != nullptr) {
            std::exchange(release_, nullptr)(storage_, &executor_);
        } else {
            raised_ = true;
        }
    }

    auto wait() {
        return net::async_initiate<const net::deferred_t, void()>(
            [this](auto&& handler) { hold(std::forward<decltype(handler)>(handler)); },
            net::deferred);
    }

 private:
    // Moves the handler out of `storage`, and posts it unless there is no executor.
    using Release = void (*)(void* storage, const Executor* executor);

    template <typename Handler>
    void hold(Handler&& handler) {
        using Stored = std::decay_t<Handler>;
        static_assert(sizeof(Stored) <= storage_bytes &&
                      alignof(Stored) <= alignof(std::max_align_t));
        new (storage_) Stored(std::forward<Handler>(handler));
        release_ = [](void* storage, const Executor* executor) {
            auto* stored = std::launder(static_cast<Stored*>(storage));
            Stored moved(std::move(*stored));
            stored->~Stored();
            if (executor != nullptr) {
                net::post(*executor, std::move(moved));
            }
        };
        if (take()) {
            notify();
        }
    }

    static constexpr std::size_t storage_bytes = 64;
    Executor executor_;
    Release release_ = nullptr;
    bool raised_ = false;
    alignas(std::max_align_t) std::byte storage_[storage_bytes];
};

}  // namespace cairn::server
