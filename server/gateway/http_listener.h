// Accepts TCP connections and deals them out, in turn, to those who take them.
//
// Owned by the thread of its io_context; the takers may live on other threads (adopt() crosses). A
// lack of file descriptors or memory is waited out, it never ends the listener. It counts nothing:
// how many connections are too many is decided by who takes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/base/coroutine.h"

namespace cairn::server {

class SocketTaker {
 public:
    virtual ~SocketTaker() = default;
    virtual Executor executor() = 0;
    // From any thread. The socket uses executor().
    virtual void adopt(Socket socket) = 0;
};

class HttpListener : public std::enable_shared_from_this<HttpListener> {
 public:
    explicit HttpListener(const Executor& executor);

    // Binds and listens. What is wrong, in one line, or empty. A host name is resolved here, which
    // may block: for the start of the program.
    std::string open(const std::string& host, std::uint16_t port);
    // Begins to accept. The takers outlive the listener's stop().
    void start(std::vector<SocketTaker*> takers);
    void stop();

    std::uint16_t port() const { return port_; }  // the real one, also when 0 was asked for

 private:
    static Task accept_loop(std::shared_ptr<HttpListener> self);

    Executor executor_;
    Acceptor acceptor_;
    Timer pause_;
    std::vector<SocketTaker*> takers_;
    std::uint16_t port_ = 0;
    bool stopped_ = false;
};

}  // namespace cairn::server
