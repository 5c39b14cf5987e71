#pragma once

// Operations::ExpertsMatMul. Choices are sorted by expert: each has a place, and an expert's rows
// lie one after another. A row is quantised once, at the place of its first choice, and copied to
// the others. The threads multiply the gates and ups of all experts, then all downs, then add up,
// however many experts there are. Items of work are a tile of an expert
// times a run of its rows, so an expert with many rows is shared out and several with few are dealt
// among the threads. Neither places nor cuts change a bit (product_driver.h). One caller at a time.

#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/product_driver.h"
#include "kernels/thread_pool.h"
#include "kernels/tile_products.h"

namespace reprise {

class ExpertsDriver {
 public:
  // `product` multiplies for Compute::kExact, expert by expert.
  ExpertsDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                Compute compute, ThreadPool& pool, ProductDriver& product);

  // The parameters of Operations::ExpertsMatMul.
  void MatMul(const float* x, int rows, std::span<const GatedMatrices> experts,
              std::span<const ExpertChoice> choices, float* y);

 private:
  // Choices of a call: row r has numbers r * for_each_row .. of `list`.
  struct Choices {
    std::span<const ExpertChoice> list;
    int rows;
    int for_each_row;
  };

  // Rows of one expert: places first .. first + rows - 1.
  struct Run {
    const GatedMatrices* ws;
    int first;
    int rows;
  };
  void SortByExpert(const Choices& choices, std::span<const GatedMatrices> experts);
  void FastMatMul(const float* x, const Choices& choices, float* y);
  void ExactMatMul(const float* x, const Choices& choices, float* y);

  // multiply(ws, TileItem, thread) for each of `tiles` tiles of each chosen expert and its rows.
  template <typename Multiply>
  void ForTiles(int64_t tiles, const Multiply& multiply);
  void CutRuns(int64_t tiles);  // chosen_ into pieces_
  void PutRow(const float* x, const Choices& choices, int row, int columns);
  // Columns first .. first + count - 1 of row `row` of y[rows, columns].
  void AddUp(const Choices& choices, int row, int64_t columns, int64_t first, int64_t count,
             float* y) const;

  const Compute compute_;
  ThreadPool& pool_;
  ProductDriver& product_;

  // Scratch: grows to the largest call.
  std::vector<Run> chosen_;           // each expert that somebody chose, whole
  std::vector<Run> pieces_;           // the same, cut to fit
  std::vector<int> places_;           // by choice
  std::vector<int> next_place_;       // by expert, while sorting
  std::vector<const Matrix*> inner_;  // gates and ups of chosen_
  std::vector<const Matrix*> outer_;  // downs
  Activations inputs_;                // by place
  Activations gated_;                 // by place
  AlignedBytes results_;              // f32, by place
  AlignedBytes gathered_;             // f32, by place: kExact
  TileProducts tiles_;
};

}  // namespace reprise
