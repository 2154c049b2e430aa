// The watchers of tests/bench/streams: thousands of WebSocket clients in one thread, on bare epoll,
// so that they cost as little as possible beside the node that is measured. Also the denominator: a
// bare broadcast of frames to as many sockets, with nothing but write().
//
//   stream_load watch HOST PORT COUNT TARGET ADDRESSES    connects COUNT watchers, from ADDRESSES
//                                                         loopback addresses 127.0.0.2 and on
//   stream_load bare COUNT BYTES ROUNDS ADDRESSES         broadcasts in this process
//
// `watch` obeys lines on standard input and answers each with one line:
//
//   open                   connects and shakes hands; answers "open COUNT" once each has its first
//   message stall                  a tenth of the watchers reads no more expect TEXT answers
//   "seen FIRST LAST RECEIVED" (CLOCK_MONOTONIC, ns) once every watcher that
//                          reads has received TEXT within a message; RECEIVED: messages since
//                          `open`
//   count                  answers "count RECEIVED CLOSED"
//   quit
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

constexpr std::size_t stalled_every = 10;
constexpr std::size_t connecting_max = 200;  // at a time

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "stream_load: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

std::int64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void raise_file_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

sockaddr_in address_of(const char* host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

// Each source address has ports of its own.
int connect_from(const std::string& source, const sockaddr_in& to, int receive_bytes = 0) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) {
        give_up("socket");
    }
    const int one = 1;
    ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (receive_bytes > 0) {
        ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    const sockaddr_in from = address_of(source.c_str(), 0);
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        give_up("connect from " + source);
    }
    ::fcntl(socket, F_SETFL, O_NONBLOCK);
    return socket;
}

std::string source_address(std::size_t number, std::size_t addresses) {
    return "127.0.0." + std::to_string(2 + number % addresses);
}

struct Watcher {
    int socket = -1;
    bool is_open = false;  // the handshake is done
    bool is_stalled = false;
    bool has_seen = false;  // what is expected
    std::string partial;    // a header or payload cut by the read
    std::uint64_t messages = 0;
};

class Watchers {
 public:
    Watchers(const char* host, int port, std::size_t count, std::string target,
             std::size_t addresses)
        : to_(address_of(host, port)),
          target_(std::move(target)),
          addresses_(addresses),
          watchers_(count),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

    void run() {
        std::string line;
        pollfd waited[2] = {{0, POLLIN, 0}, {epoll_, POLLIN, 0}};
        while (true) {
            ::poll(waited, 2, -1);
            if (waited[0].revents != 0) {
                char input[4096];
                const ssize_t bytes = ::read(0, input, sizeof input);
                if (bytes <= 0) {
                    return;
                }
                line.append(input, static_cast<std::size_t>(bytes));
                std::size_t end = 0;
                while ((end = line.find('\n')) != std::string::npos) {
                    if (!obey(line.substr(0, end))) {
                        return;
                    }
                    line.erase(0, end + 1);
                }
            }
            serve();
        }
    }

 private:
    bool obey(const std::string& command) {
        if (command == "quit") {
            return false;
        }
        if (command == "open") {
            open();
        } else if (command == "stall") {
            stall();
        } else if (command.rfind("expect ", 0) == 0) {
            expected_ = command.substr(7);
            first_ns_ = last_ns_ = 0;
            missing_ = 0;
            for (Watcher& watcher : watchers_) {
                watcher.has_seen = watcher.is_stalled;
                missing_ += watcher.has_seen ? 0U : 1U;
            }
            answer("expecting");
        } else if (command == "count") {
            answer("count " + std::to_string(received_) + " " + std::to_string(closed_));
        }
        return true;
    }

    static void answer(const std::string& text) {
        std::printf("%s\n", text.c_str());
        std::fflush(stdout);
    }

    void open() {
        const std::string request = "GET " + target_ +
                                    " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                                    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        for (std::size_t number = 0; number < watchers_.size(); ++number) {
            while (number - first_messages_ >= connecting_max) {
                serve_some(-1);
            }
            Watcher& watcher = watchers_[number];
            // Those that may stall have little room, so that they do.
            const bool may_stall = number % stalled_every == 0;
            watcher.socket =
                connect_from(source_address(number, addresses_), to_, may_stall ? 4096 : 0);
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.u64 = number;
            ::epoll_ctl(epoll_, EPOLL_CTL_ADD, watcher.socket, &event);
            if (::send(watcher.socket, request.data(), request.size(), MSG_NOSIGNAL) !=
                static_cast<ssize_t>(request.size())) {
                give_up("send");
            }
        }
        while (first_messages_ < watchers_.size()) {
            serve_some(-1);
        }
        received_ = 0;
        answer("open " + std::to_string(watchers_.size()));
    }

    // Spread evenly over the order in which they came.
    void stall() {
        for (std::size_t number = 0; number < watchers_.size(); number += stalled_every) {
            watchers_[number].is_stalled = true;
            ::epoll_ctl(epoll_, EPOLL_CTL_DEL, watchers_[number].socket, nullptr);
        }
        answer("stalled");
    }

    void serve() {
        while (serve_some(0)) {
        }
    }

    bool serve_some(int timeout_ms) {
        epoll_event events[256];
        const int ready = ::epoll_wait(epoll_, events, 256, timeout_ms);
        for (int i = 0; i < ready; ++i) {
            receive(watchers_[events[i].data.u64]);
        }
        return ready > 0;
    }

    void receive(Watcher& watcher) {
        static char input[256 * 1024];
        const ssize_t bytes = ::recv(watcher.socket, input, sizeof input, 0);
        if (bytes <= 0) {
            if (bytes < 0 && errno == EAGAIN) {
                return;
            }
            ++closed_;
            if (!watcher.is_open || watcher.messages == 0) {
                give_up("the node closed a watcher that was opening: " + watcher.partial);
            }
            ::close(watcher.socket);
            return;
        }
        std::string_view rest(input, static_cast<std::size_t>(bytes));
        std::string whole;
        if (!watcher.partial.empty()) {
            whole.swap(watcher.partial);
            whole += rest;
            rest = whole;
        }
        if (!watcher.is_open) {
            const std::size_t end = rest.find("\r\n\r\n");
            if (end == std::string_view::npos || rest.substr(0, 12) != "HTTP/1.1 101") {
                watcher.partial = rest;
                return;
            }
            watcher.is_open = true;
            rest.remove_prefix(end + 4);
        }
        while (take_frame(watcher, rest)) {
        }
        watcher.partial = rest;
    }

    bool take_frame(Watcher& watcher, std::string_view& rest) {
        if (rest.size() < 2) {
            return false;
        }
        const unsigned short_length = static_cast<unsigned char>(rest[1]);
        const std::size_t length_bytes = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
        if (rest.size() < 2 + length_bytes) {
            return false;
        }
        std::uint64_t length = length_bytes == 0 ? short_length : 0;
        for (std::size_t i = 0; i < length_bytes; ++i) {
            length = length << 8U | static_cast<unsigned char>(rest[2 + i]);
        }
        if (rest.size() - 2 - length_bytes < length) {
            return false;
        }
        take(watcher, static_cast<unsigned char>(rest[0]) & 0x0fU,
             rest.substr(2 + length_bytes, static_cast<std::size_t>(length)));
        rest.remove_prefix(2 + length_bytes + static_cast<std::size_t>(length));
        return true;
    }

    void take(Watcher& watcher, unsigned opcode, std::string_view payload) {
        if (opcode == 9) {
            // A masked pong with a mask of zeros.
            std::string pong{'\x8a', static_cast<char>(0x80U | payload.size()), 0, 0, 0, 0};
            pong += payload;
            ::send(watcher.socket, pong.data(), pong.size(), MSG_NOSIGNAL);
            return;
        }
        if (opcode != 1 && opcode != 2) {
            return;
        }
        ++received_;
        if (watcher.messages++ == 0) {
            ++first_messages_;
        }
        if (missing_ > 0 && !watcher.has_seen && payload.find(expected_) != payload.npos) {
            watcher.has_seen = true;
            last_ns_ = now_ns();
            first_ns_ = first_ns_ == 0 ? last_ns_ : first_ns_;
            if (--missing_ == 0) {
                answer("seen " + std::to_string(first_ns_) + " " + std::to_string(last_ns_) + " " +
                       std::to_string(received_));
            }
        }
    }

    sockaddr_in to_;
    std::string target_;
    std::size_t addresses_;
    std::vector<Watcher> watchers_;
    int epoll_;
    std::size_t first_messages_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t closed_ = 0;
    std::string expected_;
    std::size_t missing_ = 0;
    std::int64_t first_ns_ = 0;
    std::int64_t last_ns_ = 0;
};

// What the kernel lets one thread write: each round writes one frame to each socket, then all of it
// is read by the other end (not measured). Prints the median of writes per second of CPU.
int bare(std::size_t count, std::size_t bytes, int rounds, std::size_t addresses) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = address_of("127.0.0.1", 0);
    socklen_t length = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 1024) != 0 ||
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        give_up("listen");
    }
    std::vector<int> readers;
    std::vector<int> writers;
    for (std::size_t number = 0; number < count; ++number) {
        readers.push_back(connect_from(source_address(number, addresses), address));
        const int writer = ::accept(listener, nullptr, nullptr);
        const int one = 1;
        ::setsockopt(writer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ::fcntl(writer, F_SETFL, O_NONBLOCK);
        writers.push_back(writer);
    }
    std::string header(4, '\0');
    std::string payload(bytes, 'x');
    std::vector<double> rates;
    std::vector<char> input(bytes + 64);
    for (int round = 0; round < rounds; ++round) {
        const std::int64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (const int writer : writers) {
            const iovec parts[] = {{header.data(), header.size()},
                                   {payload.data(), payload.size()}};
            if (::writev(writer, parts, 2) < 0) {
                give_up("writev");
            }
        }
        rates.push_back(static_cast<double>(count) * 1e9 /
                        static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - began));
        for (const int reader : readers) {
            while (::recv(reader, input.data(), input.size(), 0) < 0) {
            }
        }
    }
    std::sort(rates.begin(), rates.end());
    std::printf("%.0f\n", rates[rates.size() / 2]);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "";
    raise_file_limit();
    if (mode == "watch" && argc == 7) {
        Watchers(argv[2], std::atoi(argv[3]), std::strtoul(argv[4], nullptr, 10), argv[5],
                 std::strtoul(argv[6], nullptr, 10))
            .run();
        return 0;
    }
    if (mode == "bare" && argc == 6) {
        return bare(std::strtoul(argv[2], nullptr, 10), std::strtoul(argv[3], nullptr, 10),
                    std::atoi(argv[4]), std::strtoul(argv[5], nullptr, 10));
    }
    std::fprintf(stderr,
                 "usage: stream_load watch HOST PORT COUNT TARGET ADDRESSES\n"
                 "       stream_load bare COUNT BYTES ROUNDS ADDRESSES\n");
    return 2;
}
