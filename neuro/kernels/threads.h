// Share a loop among threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace neuro {

// Call body(k) for k = 0..n-1 on at most n_threads threads, the caller's among them; which thread takes which k is not
// fixed. `Scope` is made once on every thread. Threads that the system refuses are done without.
template <class Scope, class Body>
void for_each(std::int64_t n, std::int64_t n_threads, const Body& body) {
    std::atomic<std::int64_t> next{0};
    const auto work = [&] {
        const Scope scope;
        for (std::int64_t k = next++; k < n; k = next++) body(k);
    };
    std::vector<std::thread> others;
    const std::int64_t wanted = (n_threads < n ? n_threads : n) - 1;
    try {
        for (std::int64_t k = 0; k < wanted; ++k) others.emplace_back(work);
    } catch (const std::system_error&) {
    }
    work();
    for (std::thread& other : others) other.join();
}

}  // namespace neuro
